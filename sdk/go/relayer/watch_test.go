package relayer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []uint64
		looks := uint64(0)
		began := time.Now()
		err := Poll(t.Context(), time.Second, 300*time.Millisecond, func(ctx context.Context) (uint64, error) {
			if looks++; looks == 4 { // hangs
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 10 + looks/2, nil
		}, func(height uint64) { told = append(told, height) })
		if diff := cmp.Diff([]uint64{10, 11, 11}, told); diff != "" {
			t.Errorf("heights (-want +got):\n%s", diff)
		}
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 4300*time.Millisecond {
			t.Errorf("a node that hangs ends it after %v with %v", took, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Poll(ctx, time.Second, time.Second, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("the end of the watch: %v", err)
		}
	})
}
