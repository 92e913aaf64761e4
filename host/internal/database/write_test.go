package database

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestWritesThatWaitAreWrittenTogether holds that what waits shares a transaction, in which each write stands for
// itself, and that one whose caller has gone is not written.
func TestWritesThatWaitAreWrittenTogether(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	job := testJob(t, d, "a").ID
	store := d.Store(Scope{PluginKind: "evm"})
	const good = 10
	for range 2 { // statements are parsed the first time, and known the second
		before := d.queue.commits.Load()
		<-d.queue.turn
		outcomes := make(chan error)
		for i := range good {
			go func() {
				_, err := store.Put(t.Context(), fmt.Sprint(before, "/", i), nil, 0)
				outcomes <- err
			}()
		}
		bad := make(chan error)
		go func() {
			_, err := d.PutAccepted(t.Context(), job+1, at(1, 1, 0), true)
			bad <- err
		}()
		gone, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := store.Put(gone, fmt.Sprint(before, "/gone"), nil, 0)
			left <- err
		}()
		for waiting := 0; waiting < good+2; {
			d.queue.mu.Lock()
			waiting = len(d.queue.waiting)
			d.queue.mu.Unlock()
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("a write that is not wanted any more: %v", err)
		}
		d.queue.turn <- struct{}{}
		for range good {
			if err := <-outcomes; err != nil {
				t.Error(err)
			}
		}
		if err := <-bad; !errors.Is(err, ErrNotFound) {
			t.Errorf("a write for a job that does not exist: %v", err)
		}
		if n := d.queue.commits.Load() - before; n != 1 {
			t.Errorf("%d transactions, want one", n)
		}
		entries, _, err := store.List(t.Context(), fmt.Sprint(before, "/"), "", 0)
		if err != nil || len(entries) != good {
			t.Errorf("%d entries, %v, want %d", len(entries), err, good)
		}
	}
}
