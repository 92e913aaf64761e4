package relayer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// sessions is a node whose sessions last until the test ends them.
type sessions struct {
	begun chan context.Context
	end   chan error
}

func (s sessions) Connect(context.Context) (int, error) { return 0, nil }

func (s sessions) Watch(ctx context.Context, _ int, report func(uint64)) error {
	report(1)
	s.begun <- ctx
	select {
	case err := <-s.end:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s sessions) Disconnect(int) {}

// Calls that hang at a client outlast it, and their failures are no reason to replace the next one.
func TestPoolKeepsAClientForWhatTheOneBeforeFailed(t *testing.T) {
	t.Parallel()
	node := sessions{make(chan context.Context), make(chan error)}
	pool := NewPool(PoolSettings{Timeout: time.Minute, ReconnectMin: time.Millisecond, ReconnectMax: time.Millisecond},
		[]Node[int]{{Name: "a", Driver: node}})
	t.Cleanup(func() { _ = pool.Close() })
	<-node.begun
	fail, asked := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	for range tolerance {
		calls.Go(func() {
			_ = pool.Do(t.Context(), func(context.Context, int) error {
				asked <- struct{}{}
				<-fail
				return errors.New("the connection was lost")
			})
		})
	}
	for range tolerance {
		<-asked
	}
	node.end <- errors.New("the node was restarted")
	second := <-node.begun
	close(fail)
	calls.Wait()
	if err := context.Cause(second); err != nil {
		t.Errorf("the next client was given up: %v", err)
	}
}
