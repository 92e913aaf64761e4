package feed

import (
	"testing"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// TestClock holds how often in a row a clock was another than those of peers.
func TestClock(t *testing.T) {
	t.Parallel()
	r := New(false)
	for i, c := range []struct {
		ahead    time.Duration
		failures int
	}{
		{0, 0}, {health.ClocksApart, 0}, {health.ClocksApart + time.Second, 1}, {time.Minute, 2}, {-time.Minute, 3},
		{time.Second, 0}, {-health.ClocksApart, 0}, {-6 * time.Second, 1},
	} {
		r.Compares(c.ahead)
		if f := r.Facts(); f.Clock.Failures != c.failures || f.Ahead != c.ahead || f.Compared.IsZero() {
			t.Errorf("comparison %d, %s ahead: %+v, %s", i, c.ahead, f.Clock, f.Ahead)
		}
	}
}
