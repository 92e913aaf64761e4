package frames

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

// leader is who reads a connection's answers.
func leader(c *Conn) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := &c.lead; {
	case l.caller != nil:
		return "a caller"
	case l.taken:
		return "the goroutine"
	}
	return "nobody"
}

// leading has callers of a connection lead, to a server whose handler holds back what it is told to.
func leading(t *testing.T) (c *Conn, s *Server, let chan struct{}) {
	t.Helper()
	let = make(chan struct{})
	s = newServer(func(_ context.Context, b []byte) ([]byte, error) {
		if string(b) == "wait" {
			<-let
		}
		return b, nil
	})
	c = overPipe(t, s)
	for range alone + 1 {
		if _, err := ask(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
	}
	if who := leader(c); who != "nobody" {
		t.Fatalf("after %d calls one at a time %s reads", alone+1, who)
	}
	return c, s, let
}

// A caller that reads its own answer does so for a moment alone: then the goroutine reads for it and all that have come
// since.
func TestACallerLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, let := leading(t)
		var slow sync.WaitGroup
		slow.Go(func() {
			if _, err := ask(t.Context(), c, []byte("wait")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if who := leader(c); who != "a caller" {
			t.Errorf("%s reads the answer of a call that is alone", who)
		}
		begin := time.Now()
		if _, err := ask(t.Context(), c, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 2*leadEvery {
			t.Errorf("a call beside that of a caller who reads took %s", took)
		}
		time.Sleep(2 * leadEvery)
		if who := leader(c); who != "the goroutine" {
			t.Errorf("after %s %s reads the answer", 2*leadEvery, who)
		}
		close(let)
		slow.Wait()
	})
}

// A caller that reads sees its deadline at once, and that it is cancelled after a moment.
func TestACallerWhoLeadsIsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, let := leading(t)
		const patience = 500 * time.Microsecond // the lead is not looked at before
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		begin := time.Now()
		_, err := ask(ctx, c, []byte("wait"))
		expect(t, "the deadline of who reads", err, codes.DeadlineExceeded, "")
		if took := time.Since(begin); took != patience {
			t.Errorf("a deadline of %s ended its call after %s", patience, took)
		}
		cancel()
		close(let)
	})
	synctest.Test(t, func(t *testing.T) {
		c, _, let := leading(t)
		ctx, cancel := context.WithCancel(t.Context())
		var slow sync.WaitGroup
		slow.Go(func() {
			_, err := ask(ctx, c, []byte("wait"))
			expect(t, "a cancelled caller who reads", err, codes.Canceled, "")
		})
		synctest.Wait()
		cancel()
		begin := time.Now()
		slow.Wait()
		if took := time.Since(begin); took > 2*leadEvery {
			t.Errorf("a caller who was cancelled returned after %s", took)
		}
		close(let)
	})
}

// The end of a connection is seen by a caller who reads, and soon after when nobody has a call.
func TestTheEndIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, let := leading(t)
		var slow sync.WaitGroup
		slow.Go(func() {
			_, err := ask(t.Context(), c, []byte("wait"))
			expect(t, "a call on a connection that ended", err, codes.Unavailable, "broke")
		})
		synctest.Wait()
		go s.Stop()
		slow.Wait()
		close(let)
	})
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := leading(t)
		s.Stop()
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took > 2*leadEvery {
			t.Errorf("the end of a connection without calls was seen after %s", took)
		}
	})
}

// Nor is it missed when the lead was taken from a caller whose answer had just come, and nobody has a call since.
func TestTheEndIsSeenAfterALead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := leading(t)
		k := &call{done: make(chan struct{}, 1)}
		c.mu.Lock()
		if !c.tryLeadLocked(k) {
			t.Fatal("a call that is alone does not lead")
		}
		c.mu.Unlock()
		k.done <- struct{}{} // and before its caller looks, its lead has been long
		time.Sleep(3 * leadEvery)
		c.mu.Lock()
		if !c.lead.kicked {
			t.Error("the lead is not taken from who has had it for long")
		}
		c.mu.Unlock()
		c.readFor(k)
		s.Stop()
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took > 2*leadEvery {
			t.Errorf("the end of a connection was seen after %s", took)
		}
	})
}
