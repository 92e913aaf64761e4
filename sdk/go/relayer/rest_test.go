package relayer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// tireless is a driver of a node that serves whenever it is asked, and keeps when it was.
type tireless struct {
	name string

	mu    sync.Mutex
	asked []time.Time
}

func (d *tireless) ask() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, time.Now())
}

func (d *tireless) Connect(context.Context) (*tireless, error) {
	d.ask()
	return d, nil
}

func (d *tireless) Watch(ctx context.Context, _ *tireless, report func(uint64)) error {
	for {
		report(1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			d.ask()
		}
	}
}

func (d *tireless) Disconnect(*tireless) {}

// TestPoolLeavesAlone checks that a node which asks for a rest gets no request until it is over, not even for its
// newest block, while another is used, and that calls fail with the reason where there is none.
func TestPoolLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &tireless{name: "first"}, &tireless{name: "second"}
		p := NewPool(PoolSettings{}, []Node[*tireless]{{Name: "first", Driver: first}, {Name: "second", Driver: second}})
		defer p.Close()
		synctest.Wait()
		throttle, served := true, ""
		call := func(_ context.Context, client *tireless) error {
			if client.name == "first" && throttle {
				throttle = false
				return Throttled(StatusCode(429), 20*time.Second)
			}
			served = client.name
			return nil
		}
		begin := time.Now()
		for range 15 {
			if err := p.Do(t.Context(), call); err != nil || served != "second" {
				t.Fatalf("after %s: served by %q, %v", time.Since(begin), served, err)
			}
			time.Sleep(time.Second)
		}
		const reason = "answers with HTTP status 429: it limits the rate of requests; it asks to be left alone for 20s"
		if s := p.Statuses()[0]; s.GetState() != relayerv1.NodeState_NODE_STATE_UNREACHABLE || s.GetReason() != reason {
			t.Errorf("while it rests it is %s, %q", s.GetState(), s.GetReason())
		}
		time.Sleep(7 * time.Second)
		if err := p.Do(t.Context(), call); err != nil || served != "first" {
			t.Errorf("after its rest: served by %q, %v", served, err)
		}
		first.mu.Lock()
		defer first.mu.Unlock()
		for _, at := range first.asked {
			if after := at.Sub(begin); after > 0 && after < 20*time.Second {
				t.Errorf("it was asked %s after it wanted to be left alone for 20 s", after)
			}
		}
	})
}
