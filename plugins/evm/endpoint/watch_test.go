package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/google/go-cmp/cmp"
)

// wanted is the first topic of the events that the driver is to have pushed.
var wanted = common.Hash{7}

// fakeNode is a node with subscriptions, of which the test decides what is pushed. Its exported methods are its
// JSON-RPC.
type fakeNode struct {
	mu        sync.Mutex
	height    uint64
	chain     string
	silent    bool // pushes no blocks
	late      bool // makes a block as it is subscribed to, which is not pushed
	heads     map[*rpc.Subscription]*rpc.Notifier
	logs      map[*rpc.Subscription]fakeFilter
	opened    int // subscriptions to blocks so far
	filtered  [][]common.Address
	heightAsk int
}

type fakeFilter struct {
	notifier  *rpc.Notifier
	addresses []common.Address
}

func (n *fakeNode) ChainId() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.chain
}

func (n *fakeNode) block() map[string]any {
	return map[string]any{"number": hexutil.Uint64(n.height), "hash": common.BigToHash(new(big.Int).SetUint64(n.height)),
		"timestamp": hexutil.Uint64(n.height)}
}

func (n *fakeNode) GetBlockByNumber(string, bool) map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heightAsk++
	return n.block()
}

func (n *fakeNode) NewHeads(ctx context.Context) (*rpc.Subscription, error) {
	notifier, _ := rpc.NotifierFromContext(ctx)
	subscription := notifier.CreateSubscription()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heads[subscription] = notifier
	n.opened++
	if n.late {
		n.height++
	}
	return subscription, nil
}

func (n *fakeNode) Logs(ctx context.Context, filter json.RawMessage) (*rpc.Subscription, error) {
	var f struct {
		Address []common.Address
		Topics  [][]common.Hash
	}
	if err := json.Unmarshal(filter, &f); err != nil {
		return nil, err
	}
	if diff := cmp.Diff([][]common.Hash{{wanted}}, f.Topics); diff != "" {
		return nil, fmt.Errorf("topics (-want +got):\n%s", diff)
	}
	notifier, _ := rpc.NotifierFromContext(ctx)
	subscription := notifier.CreateSubscription()
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.SortFunc(f.Address, common.Address.Cmp)
	n.logs[subscription] = fakeFilter{notifier, f.Address}
	n.filtered = append(n.filtered, f.Address)
	return subscription, nil
}

// mine makes a block.
func (n *fakeNode) mine() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.height++
	for subscription, notifier := range n.heads {
		if !n.silent {
			_ = notifier.Notify(subscription.ID, n.block())
		}
	}
}

// emit pushes an event to whoever follows the contract, whatever topics they asked for.
func (n *fakeNode) emit(contract common.Address, topics ...common.Hash) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for subscription, filter := range n.logs {
		if slices.Contains(filter.addresses, contract) {
			_ = filter.notifier.Notify(subscription.ID, types.Log{
				Address: contract, Topics: append([]common.Hash{}, topics...)})
		}
	}
}

func (n *fakeNode) with(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// watching is a driver that watches a fake node.
type watching struct {
	node      *fakeNode
	contracts *Contracts
	logged    chan types.Log
	heights   chan uint64
	ended     chan error
}

func watch(t *testing.T, poll time.Duration, wsOnly bool, settle ...func(*fakeNode)) *watching {
	t.Helper()
	w := &watching{
		node: &fakeNode{height: 100, chain: "0x1", heads: map[*rpc.Subscription]*rpc.Notifier{},
			logs: map[*rpc.Subscription]fakeFilter{}},
		contracts: &Contracts{}, logged: make(chan types.Log, 100), heights: make(chan uint64, 1000),
		ended: make(chan error, 1),
	}
	for _, s := range settle {
		s(w.node)
	}
	server := rpc.NewServer()
	if err := server.RegisterName("eth", w.node); err != nil {
		t.Fatal(err)
	}
	both := httptest.NewServer(server)
	sockets := httptest.NewServer(server.WebsocketHandler([]string{"*"}))
	settings := Settings{
		WSURL: strings.Replace(sockets.URL, "http", "ws", 1), HTTPURL: both.URL, ChainID: big.NewInt(1), PollInterval: poll,
		Timeout:   time.Minute,
		Contracts: w.contracts, Topics: []common.Hash{wanted}, Logged: func(log types.Log) { w.logged <- log },
	}
	if wsOnly {
		settings.HTTPURL = ""
	}
	d := NewDriver(settings)
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ended <- d.Watch(ctx, c, func(height uint64) { w.heights <- height })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		d.Disconnect(c)
		server.Stop()
		sockets.CloseClientConnections()
		sockets.Close()
		both.Close()
	})
	return w
}

func (w *watching) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		held := false
		w.node.with(func() { held = holds() })
		if held {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("within a minute not so: %s", what)
		}
	}
}

func (w *watching) height(t *testing.T, want uint64) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case got := <-w.heights:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("block %d was not reported within a minute", want)
		}
	}
}

func TestWatchPushes(t *testing.T) {
	t.Parallel()
	for name, wsOnly := range map[string]bool{"with HTTP": false, "over WebSocket alone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, time.Hour, wsOnly)
			w.height(t, 100) // at once, not after the first poll
			w.until(t, "blocks are subscribed to", func() bool { return w.node.opened == 1 })
			w.node.mine()
			w.height(t, 101)
			one, two := common.Address{1}, common.Address{2}
			for i, change := range []func(){func() { w.contracts.Add(one) }, func() { w.contracts.Add(two) },
				func() { w.contracts.Remove(one) }} {
				change()
				w.until(t, "the changed contracts are subscribed to", func() bool { return len(w.node.filtered) == i+1 })
			}
			w.node.with(func() {
				if got := fmt.Sprint(w.node.filtered); got != fmt.Sprint([][]common.Address{{one}, {one, two}, {two}}) {
					t.Errorf("subscribed to %s", got)
				}
			})
			w.node.emit(two)
			w.node.emit(two, common.Hash{})
			w.node.emit(two, wanted)
			select {
			case got := <-w.logged:
				if got.Address != two || len(got.Topics) != 1 || got.Topics[0] != wanted {
					t.Errorf("an event of %s with the topics %s", got.Address, got.Topics)
				}
			case <-time.After(time.Minute):
				t.Error("the event was not told within a minute")
			}
			w.contracts.Remove(two)
			w.node.mine()
			w.height(t, 102)
		})
	}
}

// TestWatchSeesABlockBeforeTheSubscription holds that what was made while the push was being opened is not missed.
func TestWatchSeesABlockBeforeTheSubscription(t *testing.T) {
	t.Parallel()
	w := watch(t, time.Hour, false, func(n *fakeNode) { n.late = true })
	w.height(t, 101)
}

func TestWatchMendsASilentPush(t *testing.T) {
	t.Parallel()
	w := watch(t, 10*time.Millisecond, false)
	w.until(t, "blocks are subscribed to", func() bool { return w.node.opened == 1 })
	w.node.with(func() { w.node.silent = true })
	opened := func() (n int) { w.node.with(func() { n = w.node.opened }); return n }
	end := time.Now().Add(time.Minute)
	for want := uint64(101); opened() == 1; want++ { // those count of which the poll tells once the push works
		if time.Now().After(end) {
			t.Fatal("blocks are not subscribed to anew")
		}
		w.node.mine()
		w.height(t, want) // by the poll
	}
	w.node.with(func() { w.node.silent = false })
}

func TestWatchEndsWhenTheChainChanges(t *testing.T) {
	t.Parallel()
	w := watch(t, 5*time.Millisecond, false)
	w.node.with(func() { w.node.chain = "0x2" })
	if err := <-w.ended; err == nil || err.Error() != "answers for chain 2" {
		t.Errorf("Watch ended with %v", err)
	}
}
