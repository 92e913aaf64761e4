package feed

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// TestClock holds since when a clock is said to be another than those of peers.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, begun := New(false), time.Now()
		for _, c := range []struct {
			ahead time.Duration
			want  time.Duration // since when after the beginning; negative: it is not
		}{
			{0, -1}, {health.ClocksApart, -1}, {health.ClocksApart + time.Second, 2 * time.Second},
			{time.Minute, 2 * time.Second}, {-time.Minute, 2 * time.Second}, {time.Second, -1},
			{-6 * time.Second, 6 * time.Second},
		} {
			r.Compares(c.ahead)
			got := time.Duration(-1)
			if at := r.Facts().Astray; !at.IsZero() {
				got = at.Sub(begun)
			}
			if got != c.want {
				t.Errorf("after %s, %s ahead: since %s, want %s", time.Since(begun), c.ahead, got, c.want)
			}
			time.Sleep(time.Second)
		}
	})
}
