package deadline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deadline, cancel time.Duration // of libocr's context; 0: none
		lasts            time.Duration
		err              error
	}{
		"no deadline":                       {0, 0, 5 * time.Second, context.DeadlineExceeded},
		"one that has passed":               {-time.Second, 0, 5 * time.Second, context.DeadlineExceeded},
		"one that passes":                   {time.Second, 0, 5 * time.Second, context.DeadlineExceeded},
		"a cancellation":                    {0, time.Second, time.Second, context.Canceled},
		"a cancellation after the deadline": {time.Second, 2 * time.Second, 5 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel != 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				if c.deadline != 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, c.deadline)
					defer stop()
				}
				begin := time.Now()
				own, end := Own(ctx, 5*time.Second)
				defer end()
				<-own.Done()
				if took := time.Since(begin); took != c.lasts || !errors.Is(own.Err(), c.err) {
					t.Errorf("ended after %s with %v; want %s, %v", took, own.Err(), c.lasts, c.err)
				}
			})
		})
	}
}
