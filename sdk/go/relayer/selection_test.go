package relayer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// steady is a driver of a node that is at one height, or makes a block each second.
type steady struct {
	name   string
	height uint64
	grows  bool
}

func (d steady) Connect(context.Context) (string, error) { return d.name, nil }

func (d steady) Watch(ctx context.Context, _ string, report func(uint64)) error {
	for height := d.height; ; {
		report(height)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			if d.grows {
				height++
			}
		}
	}
}

func (d steady) Disconnect(string) {}

func served(t *testing.T, p *Pool[string]) string {
	t.Helper()
	name := ""
	err := p.Do(t.Context(), func(_ context.Context, client string) error {
		name = client
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return name
}

func TestPoolSelects(t *testing.T) {
	for name, c := range map[string]struct {
		selection Selection
		want      []string
	}{
		"in order": {InOrder, []string{"a", "a", "a", "a"}}, "highest": {HighestHead, []string{"b", "b", "b", "b"}},
		"in turn": {RoundRobin, []string{"b", "c", "a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(PoolSettings{Selection: c.selection}, []Node[string]{
					{Name: "a", Driver: steady{name: "a", height: 7}},
					{Name: "b", Driver: steady{name: "b", height: 9}},
					{Name: "c", Driver: steady{name: "c", height: 8}},
				})
				defer p.Close()
				synctest.Wait()
				var got []string
				for range c.want {
					got = append(got, served(t, p))
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestPoolSendsOnly checks that a node for sending gets what is sent and no other call, and tells of no block.
func TestPoolSendsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolSettings{Advanced: func(node string, _ uint64) {
			if node == "sends" {
				t.Error("a node for sending tells of a block")
			}
		}}, []Node[string]{
			{Name: "sends", Driver: steady{name: "sends", height: 1 << 40}, SendOnly: true},
			{Name: "reads", Driver: steady{name: "reads", height: 3}},
		})
		defer p.Close()
		synctest.Wait()
		if got := served(t, p); got != "reads" || p.Height() != 3 {
			t.Errorf("a call is made at %s, the height is %d", got, p.Height())
		}
		for _, s := range p.Statuses() {
			if s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE || s.GetReason() != "" {
				t.Errorf("%s is %s: %s", s.GetName(), s.GetState(), s.GetReason())
			}
		}
		sent := make(chan string, 2)
		_, _ = p.Broadcast(t.Context(), func(_ context.Context, client string) error {
			sent <- client
			return Answered(errors.New("no"))
		})
		close(sent)
		var names []string
		for name := range sent {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"reads", "sends"}, names); diff != "" {
			t.Errorf("sent to:\n%s", diff)
		}
	})
}

// TestPoolPassesOverTheSilent checks that a node which tells of no new block comes after one that does, and serves
// where there is no other.
func TestPoolPassesOverTheSilent(t *testing.T) {
	for name, c := range map[string]struct {
		silence time.Duration
		want    string
		reason  string
	}{
		"a minute": {time.Minute, "lively", "has told of no new block for 1m2s and is asked last"},
		"for ever": {0, "still", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPool(PoolSettings{MaxSilence: c.silence, MaxLag: 1 << 62}, []Node[string]{
					{Name: "still", Driver: steady{name: "still", height: 5}},
					{Name: "lively", Driver: steady{name: "lively", height: 5, grows: true}},
				})
				defer p.Close()
				time.Sleep(58 * time.Second)
				if got := served(t, p); got != "still" {
					t.Errorf("before the time is over %s serves", got)
				}
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if got := served(t, p); got != c.want {
					t.Errorf("%s serves", got)
				}
				s := p.Statuses()[0]
				if s.GetReason() != c.reason || s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
					t.Errorf("the silent node is %s: %q", s.GetState(), s.GetReason())
				}
			})
		})
	}
}

// TestPoolAsksAnotherForWhatOneDoesNotServe checks that a node which does not know a method is a good node all the
// same.
func TestPoolAsksAnotherForWhatOneDoesNotServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolSettings{}, []Node[string]{
			{Name: "a", Driver: steady{name: "a", height: 5}}, {Name: "b", Driver: steady{name: "b", height: 5}},
		})
		defer p.Close()
		synctest.Wait()
		var asked []string
		for range 2 {
			err := p.Do(t.Context(), func(_ context.Context, client string) error {
				asked = append(asked, client)
				if client == "a" {
					return Unserved(Said("has no such method"))
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]string{"a", "b", "a", "b"}, asked); diff != "" {
			t.Error(diff)
		}
		if s := p.Statuses()[0]; s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
			t.Errorf("it is %s: %s", s.GetState(), s.GetReason())
		}
		err := p.Do(t.Context(), func(context.Context, string) error { return Unserved(Said("has no such method")) })
		if err == nil || Reason(err) == "" {
			t.Errorf("where no node serves it: %v", err)
		}
	})
}

// TestPoolHeedsThoseThatServeWhatIsSent checks that a node which does not serve what is sent to all keeps no answer of
// another from being sure, and that one which fails does.
func TestPoolHeedsThoseThatServeWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolSettings{}, []Node[string]{
			{Name: "a", Driver: steady{name: "a", height: 5}}, {Name: "b", Driver: steady{name: "b", height: 5}},
		})
		defer p.Close()
		synctest.Wait()
		no, lacks, broken := Answered(errors.New("no")), Unserved(Said("has no such method")), Said("is broken")
		for name, c := range map[string]struct {
			a, b error
			sure bool
			want string
		}{
			"both answer":      {no, no, true, "no"},
			"one lacks it":     {lacks, no, true, "no"},
			"one is broken":    {broken, no, false, "no"},
			"one has it":       {lacks, nil, true, "<nil>"},
			"broken and lacks": {broken, lacks, false, "no RPC node serves: a is broken; b has no such method"},
			"both lack it":     {lacks, lacks, false, "no RPC node serves: a has no such method; b has no such method"},
		} {
			sure, err := p.Broadcast(t.Context(), func(_ context.Context, client string) error {
				return map[string]error{"a": c.a, "b": c.b}[client]
			})
			if got := status.Convert(err).Message(); err == nil && c.want != "<nil>" || err != nil && got != c.want ||
				sure != c.sure {
				t.Errorf("%s: %v, sure %t; want %s, %t", name, err, sure, c.want, c.sure)
			}
			time.Sleep(time.Minute) // what is broken serves again
		}
	})
}

// TestPoolTellsOfARefusalOnce checks that a node which refuses all service is named with what it says, in its state and
// in the log, and there once for as long as it says the same, however often it is connected.
func TestPoolTellsOfARefusalOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var says atomic.Value
		says.Store("no such key")
		var log bytes.Buffer
		p := NewPool(PoolSettings{Logger: slog.New(slog.NewTextHandler(&log, nil))}, []Node[int]{{
			Name: "a", Driver: madeDriver{connect: func(context.Context) (int, error) {
				return 0, fmt.Errorf("first: %w", Answered(Said(says.Load().(string))))
			}},
		}})
		defer p.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Statuses()[0].GetReason(); got != "answers with the error: no such key" {
			t.Errorf("its state says %q", got)
		}
		says.Store("no such user")
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, reason := range []string{"no such key", "no such user"} {
			if n := strings.Count(log.String(), reason); n != 1 {
				t.Errorf("the log says %q %d times", reason, n)
			}
		}
	})
}

func TestReasonSteersNoTerminal(t *testing.T) {
	t.Parallel()
	if got := Reason(Said("a \x1b[2J\u202e b\n c")); got != "a \ufffd[2J\ufffd b c" {
		t.Errorf("got %q", got)
	}
}
