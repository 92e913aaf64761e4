package relayer

import (
	"context"
	"time"
)

// notice is what Await leaves of a caller's time, at most: an answer that says why it comes without a value must cross
// a process boundary or two before the caller stops listening.
const notice = 250 * time.Millisecond

// Await waits until all channels of ready are closed, and no longer than ctx allows: it stops before the deadline by a
// fifth of the remaining time, 250 ms at most, so that the answer can still say why there is none. If ctx has no
// deadline, Await waits without limit.
func Await(ctx context.Context, ready ...<-chan struct{}) {
	var enough <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.NewTimer(left - min(left/5, notice))
		defer timer.Stop()
		enough = timer.C
	}
	for _, one := range ready {
		select {
		case <-one:
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}
