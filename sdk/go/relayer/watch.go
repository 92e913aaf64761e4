package relayer

import (
	"context"
	"time"
)

// Poll implements Watch for a Driver whose node pushes nothing. look asks for the newest block and checks that the node
// still serves the right chain. Poll calls it once in each interval, bounded by timeout, and ends with its first error.
func Poll(
	ctx context.Context, interval, timeout time.Duration,
	look func(context.Context) (height uint64, err error), report func(height uint64),
) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		bounded, stop := context.WithTimeout(ctx, timeout)
		height, err := look(bounded)
		stop()
		if err != nil {
			return err
		}
		report(height) // even if it is the same: the node lives
	}
}
