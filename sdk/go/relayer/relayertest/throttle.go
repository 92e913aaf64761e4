package relayertest

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// RPCError is a JSON-RPC error of a Server.
type RPCError struct {
	Code    int
	Message string
	Data    any // nil: none
}

// Error implements error.
func (e RPCError) Error() string { return e.Message }

// ErrorCode returns the code.
func (e RPCError) ErrorCode() int { return e.Code }

// ErrorData returns the data.
func (e RPCError) ErrorData() any { return e.Data }

// throttles are errors by which providers limit their customers on all chains: words with the code that every node has
// for anything, and codes that no node has.
func throttles() map[string]RPCError {
	return map[string]RPCError{
		"HTTP's 429":       {Code: 429, Message: "slow down"},
		"HTTP's 402":       {Code: 402, Message: "upgrade to go on"},
		"QuickNode":        {Code: -32007, Message: "50/second request limit reached - reduce calls per second"},
		"QuickNode, a day": {Code: -32000, Message: "daily request limit reached - upgrade your account"},
		"Chainstack": {Code: -32005, Message: "You've exceeded the RPS limit available on the current plan.",
			Data: map[string]any{"try_again_in": "1.2ms"}},
		"Alchemy":    {Code: -32000, Message: "Your app has exceeded its compute units per second capacity."},
		"Helius":     {Code: -32429, Message: "max usage reached"},
		"Base":       {Code: -32016, Message: "over rate limit"},
		"Ankr":       {Code: -32090, Message: "Too many requests"},
		"a quota":    {Code: -32000, Message: "You have exceeded the quota of your plan"},
		"Infura":     {Code: -32005, Message: "daily request count exceeded, request rate limited"},
		"for 30 s":   {Code: -32005, Message: "project ID request rate exceeded", Data: backoff},
		"30 s, 429":  {Code: 429, Message: "slow down", Data: backoff},
		"a capacity": {Code: -32000, Message: "Monthly capacity limit exceeded."},
	}
}

// backoff are an error's data by which Infura asks for a rest.
var backoff = map[string]any{"rate": map[string]any{"backoff_seconds": 30}}

// Throttles is a relayer whose first node's provider limits it, while a backup serves.
type Throttles struct {
	// Results is what both nodes answer, by method.
	Results map[string]any
	// Method is the one of these that the provider limits.
	Method string
	// Open makes a relayer.Pool of nodes at these addresses, which it asks for their newest block once an hour, and
	// returns it with a call of Method at the pool. The pool is closed at the end of the test.
	Open func(urls []string) (Pool, func(ctx context.Context) error)
	// Own are limits that only nodes of this chain tell, and Answers errors that are a node's answer to the call
	// although they have similar words or codes.
	Own, Answers map[string]RPCError
}

// Pool is what a test needs of a relayer.Pool.
type Pool interface {
	Statuses() []*relayerv1.NodeStatus
	Close() error
}

// Throttle checks that a limit which stands in the body of an answer sends the call to the backup, and all calls that
// follow, and that the limited node is left alone for as long as the provider says; and that the chain's own answers
// pass for no limit.
func Throttle(t *testing.T, r Throttles) {
	t.Helper()
	limits := throttles()
	maps.Copy(limits, r.Own)
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, backup, pool, call := r.open(t)
			first.Answer(r.Method, func(json.RawMessage) (any, error) { return nil, limit })
			for turn := 1; turn <= 3; turn++ {
				err := call(t.Context())
				asked, instead := first.Requests(r.Method), backup.Requests(r.Method)
				if err != nil || asked != 1 || instead != turn {
					t.Fatalf("call %d ends with %v; the limited node was asked %d times and the backup %d", turn, err, asked, instead)
				}
			}
			want := "answers with the error: " + limit.Message
			if strings.Contains(name, "30 s") {
				want += "; it asks to be left alone for 30s"
			}
			status := pool.Statuses()[0]
			if status.GetState() != relayerv1.NodeState_NODE_STATE_UNREACHABLE || status.GetReason() != want {
				t.Errorf("the limited node is %v, want the reason %q", status, want)
			}
		})
	}
	for name, answer := range r.Answers {
		t.Run("not "+name, func(t *testing.T) {
			t.Parallel()
			first, backup, pool, call := r.open(t)
			first.Answer(r.Method, func(json.RawMessage) (any, error) { return nil, answer })
			err := call(t.Context())
			if n := backup.Requests(r.Method); err == nil || n > 0 {
				t.Errorf("the call ends with %v, and the backup was asked %d times", err, n)
			}
			status := pool.Statuses()[0]
			if status.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
				t.Errorf("the node is %v", status)
			}
		})
	}
}

// open starts both nodes, and waits until both serve.
func (r Throttles) open(t *testing.T) (first, backup *Server, pool Pool, call func(ctx context.Context) error) {
	t.Helper()
	first, backup = NewServer(t, ""), NewServer(t, "")
	for method, result := range r.Results {
		for _, s := range []*Server{first, backup} {
			s.Answer(method, func(json.RawMessage) (any, error) { return result, nil })
		}
	}
	pool, call = r.Open([]string{first.HTTPURL, backup.HTTPURL})
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	Within(t, time.Minute, "both nodes serve", func() bool {
		for _, status := range pool.Statuses() {
			if status.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
				return false
			}
		}
		return true
	})
	return first, backup, pool, call
}
