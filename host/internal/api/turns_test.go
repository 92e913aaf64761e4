package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Calls wait for their turn, and no longer than their callers do.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checking := make(turns, maxChecking)
		var ends []func()
		for range maxChecking {
			end, err := checking.take(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, end)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := checking.take(hasty, "others were being checked")
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "others were being checked all the while; try again: "+
			context.DeadlineExceeded.Error() {
			t.Errorf("who does not wait is told %v", err)
		}
		began := time.Now()
		time.AfterFunc(time.Minute, ends[0])
		end, err := checking.take(t.Context(), "")
		if err != nil || time.Since(began) != time.Minute {
			t.Errorf("who waits has its turn after %s: %v", time.Since(began), err)
		}
		end()
		ends[1]()
	})
}
