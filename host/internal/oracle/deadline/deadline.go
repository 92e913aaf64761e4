// Package deadline gives calls by libocr a time of the node's own, where the contract's configuration may give none.
//
// It must not know what is called.
package deadline

import (
	"context"
	"errors"
	"time"
)

// Floor is the least time for a call whose failure libocr does not repeat. A restarted plugin is back within it, even
// one whose interpreter starts on a busy machine.
const Floor = 3 * time.Second

// Own returns a context with a limit in place of ctx's own deadline. It ends with ctx if that is cancelled. After its
// deadline it cannot be seen whether ctx is cancelled, and the end waits for the rest of the limit.
func Own(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		if Cancelled(ctx) {
			cancel()
		}
	})
	return own, func() {
		stop()
		cancel()
	}
}

// Cancelled reports whether a context was cancelled, and has not merely passed its deadline.
func Cancelled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
