package endpoint

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gorilla/websocket"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// node is a fake of a node that pushes what the test says.
type node struct {
	t      *testing.T
	url    string
	slot   atomic.Uint64 // by getSlot
	refuse atomic.Bool   // subscriptions to accounts
	final  atomic.Bool   // that it knows no commitment but finalized

	mu       sync.Mutex
	conn     *websocket.Conn // the newest
	opened   int             // WebSockets so far
	calls    []string        // over the newest, with their first parameter
	accounts map[string]uint64
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t}
	n.slot.Store(100)
	server := httptest.NewServer(n)
	t.Cleanup(func() {
		n.drop()
		server.Close()
	})
	n.url = server.URL
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		n.push(w, r)
		return
	}
	var call struct {
		ID     json.RawMessage
		Method string
	}
	_ = json.NewDecoder(r.Body).Decode(&call)
	result := map[string]string{"getGenesisHash": `"a"`, "getSlot": fmt.Sprint(n.slot.Load())}[call.Method]
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, result)
}

func (n *node) push(w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	n.mu.Lock()
	n.conn, n.calls, n.accounts = conn, nil, map[string]uint64{}
	n.opened++
	n.mu.Unlock()
	for {
		var call struct {
			ID     uint64
			Method string
			Params []json.RawMessage
		}
		if conn.ReadJSON(&call) != nil {
			return
		}
		text := call.Method
		if len(call.Params) > 0 {
			text += " " + strings.Trim(string(call.Params[0]), `"`)
		}
		n.mu.Lock()
		n.calls = append(n.calls, text)
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%d}`, call.ID, 1000+call.ID)
		if call.Method == "accountSubscribe" {
			n.accounts[strings.Fields(text)[1]] = 1000 + call.ID
			if n.final.Load() && !strings.Contains(string(call.Params[1]), `"finalized"`) {
				const refusal = `{"jsonrpc":"2.0","id":%d,"error":{"code":-32602,"message":"unknown variant confirmed"}}`
				answer = fmt.Sprintf(refusal, call.ID)
			}
			if n.refuse.Load() {
				answer = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"Method not found"}}`, call.ID)
			}
		}
		_ = conn.WriteMessage(websocket.TextMessage, []byte(answer))
		n.mu.Unlock()
	}
}

// send pushes a text over the newest WebSocket.
func (n *node) send(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		_ = n.conn.WriteMessage(websocket.TextMessage, []byte(text))
	}
}

// tell pushes a slot, and what an account holds.
func (n *node) tell(slot uint64) {
	n.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":%d},"subscription":1001}}`,
		slot))
}

func (n *node) show(account sol.PublicKey, slot uint64, data []byte) {
	n.mu.Lock()
	id := n.accounts[account.String()]
	n.mu.Unlock()
	n.send(
		fmt.Sprintf(
			`{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{"context":{"slot":%d},"value":{"data":[%q,"base64"]}},"subscription":%d}}`, slot, base64.StdEncoding.EncodeToString(data), id))
}

// drop breaks the newest WebSocket.
func (n *node) drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		_ = n.conn.Close()
	}
}

// seen is what a driver made of a node's news.
type seen struct {
	t       *testing.T
	node    *node
	driver  *Driver
	mu      sync.Mutex
	heights []uint64
	pushed  []string
}

// watched is a driver that watches a node.
func watched(t *testing.T, poll time.Duration) *seen {
	t.Helper()
	s := &seen{t: t, node: newNode(t)}
	s.driver = driver(s.node.url)
	s.driver.settings.WSURL = strings.Replace(s.node.url, "http", "ws", 1)
	s.driver.settings.PollInterval = poll
	s.driver.silence = time.Minute // the node pushes only what a test says
	s.driver.settings.Pushed = func(account sol.PublicKey, slot uint64, data []byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pushed = append(s.pushed, fmt.Sprintf("%s at %d: %s", account, slot, data))
	}
	c, err := s.driver.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- s.driver.Watch(ctx, c, func(height uint64) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.heights = append(s.heights, height)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		s.driver.Disconnect(c)
	})
	return s
}

func (s *seen) until(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.node.mu.Lock()
			defer s.node.mu.Unlock()
			s.t.Fatalf("within a minute not so: %s; the node was asked for %v, and heard were %v and %v", what, s.node.calls,
				s.heights, s.pushed)
		}
	}
}

func (s *seen) height(want uint64) {
	s.t.Helper()
	s.until(fmt.Sprintf("slot %d is told", want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.heights, want)
	})
}

// asked waits until the newest WebSocket was asked for exactly that, in any order.
func (s *seen) asked(opened int, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	s.until(fmt.Sprintf("WebSocket %d is asked for %v", opened, want), func() bool {
		s.node.mu.Lock()
		defer s.node.mu.Unlock()
		return s.node.opened == opened && slices.Equal(slices.Sorted(slices.Values(s.node.calls)), want)
	})
}

func TestWatchPushes(t *testing.T) {
	t.Parallel()
	s := watched(t, time.Hour)
	s.height(100) // at once, not after the first poll
	one, two := sol.PublicKey{1}, sol.PublicKey{2}
	s.asked(1, "slotSubscribe")
	s.node.tell(101)
	s.height(101)
	s.driver.settings.Accounts.Add(one)
	s.asked(1, "slotSubscribe", "accountSubscribe "+one.String())
	s.driver.settings.Accounts.Add(two)
	s.asked(1, "slotSubscribe", "accountSubscribe "+one.String(), "accountSubscribe "+two.String())
	s.node.show(one, 102, []byte("a"))
	s.node.show(two, 103, []byte("b"))
	s.until("both accounts are heard of", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Equal(s.pushed, []string{one.String() + " at 102: a", two.String() + " at 103: b"})
	})
	s.driver.settings.Accounts.Remove(one)
	s.until("the first is not pushed any more", func() bool {
		s.node.mu.Lock()
		defer s.node.mu.Unlock()
		return slices.Contains(s.node.calls, fmt.Sprintf("accountUnsubscribe %d", s.node.accounts[one.String()]))
	})
}

// TestWatchMendsAPush breaks the push in each way, and finds slots polled meanwhile and everything subscribed to anew.
func TestWatchMendsAPush(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(n *node){
		"dropped":               func(n *node) { n.drop() },
		"garbage":               func(n *node) { n.send(`{"jsonrpc":"2.0","meth`) },
		"a page":                func(n *node) { n.send(`<html>`) },
		"no slot":               func(n *node) { n.send(`{"method":"slotNotification","params":{"result":{}}}`) },
		"a slot that is a text": func(n *node) { n.send(`{"method":"slotNotification","params":{"result":{"slot":"x"}}}`) },
		"no base64":             func(n *node) { n.badAccount(`["!","base64"]`) },
		"another encoding":      func(n *node) { n.badAccount(`["","base58"]`) },
		"too long":              func(n *node) { n.send(`"` + string(bytes.Repeat([]byte("x"), longestPush)) + `"`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watched(t, 10*time.Millisecond)
			one := sol.PublicKey{1}
			s.driver.settings.Accounts.Add(one)
			s.asked(1, "slotSubscribe", "accountSubscribe "+one.String())
			s.node.tell(101)
			s.height(101)
			spoil(s.node)
			s.node.slot.Store(102)
			s.height(102) // by the poll
			s.asked(2, "slotSubscribe", "accountSubscribe "+one.String())
			s.node.tell(103)
			s.height(103)
			s.node.show(one, 104, []byte("a"))
			s.until("the account is heard of", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.pushed) == 1 })
		})
	}
}

// TestWatchLearnsACommitment has a node refuse to push under confirmed: it pushes under finalized over the next
// connection.
func TestWatchLearnsACommitment(t *testing.T) {
	t.Parallel()
	s := watched(t, time.Hour)
	s.node.final.Store(true)
	one := sol.PublicKey{1}
	s.driver.settings.Accounts.Add(one)
	s.asked(2, "slotSubscribe", "accountSubscribe "+one.String())
	s.until("the account is heard of", func() bool {
		s.node.show(one, 104, []byte("a"))
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.pushed) > 0
	})
}

// badAccount pushes an account whose content cannot be read, once there is a subscription to one.
func (n *node) badAccount(data string) {
	n.mu.Lock()
	id := slices.Max(slices.Collect(maps.Values(n.accounts)))
	n.mu.Unlock()
	n.send(fmt.Sprintf(`{"method":"accountNotification","params":{"result":{"value":{"data":%s}},"subscription":%d}}`,
		data, id))
}

// TestWatchWithoutAPush checks that a node which pushes nothing is polled.
func TestWatchWithoutAPush(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *seen){
		"it refuses accounts": func(s *seen) { s.node.refuse.Store(true); s.driver.settings.Accounts.Add(sol.PublicKey{1}) },
		"it says nothing":     func(*seen) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watched(t, 10*time.Millisecond)
			spoil(s)
			for slot := uint64(101); slot < 105; slot++ {
				s.node.slot.Store(slot)
				s.height(slot)
			}
		})
	}
}

// TestWatchEnds checks that a node which does not answer calls any more is given up.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return "a", nil })
	server.Answer("getSlot", func(json.RawMessage) (any, error) { return 42, nil })
	d := driver(server.HTTPURL)
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(c) })
	server.SetFault(relayertest.HTML)
	if err := d.Watch(t.Context(), c, func(uint64) {}); relayer.Reason(err) != "answers with something other than the "+
		"JSON expected" {
		t.Errorf("Watch ended with %v", err)
	}
}
