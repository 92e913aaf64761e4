package account

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// newNodes makes a pool of nodes, each of which gives its own answer to a transaction.
func newNodes(t *testing.T, answers ...any) *Pool {
	t.Helper()
	var nodes []relayer.Node[*endpoint.Client]
	for i, answer := range answers {
		server := relayertest.NewServer(t, "")
		for method, result := range map[string]any{
			"starknet_specVersion": "0.10.0", "starknet_chainId": "0x1", "starknet_addInvokeTransaction": answer,
			"starknet_getBlockWithTxHashes": map[string]any{"block_number": 1, "block_hash": "0x1", "timestamp": 1},
		} {
			server.Answer(method, func(json.RawMessage) (any, error) {
				if err, failed := result.(error); failed {
					return nil, err
				}
				return result, nil
			})
		}
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: string(rune('a' + i)),
			Driver: endpoint.NewDriver(endpoint.Settings{
				URL: server.HTTPURL, ChainID: stark.FromUint64(1), PollInterval: time.Hour, Timeout: time.Minute,
			})})
	}
	pool := relayer.NewPool(relayer.PoolSettings{}, nodes)
	t.Cleanup(func() { _ = pool.Close() })
	relayertest.Eventually(t, "all nodes serve", func() bool {
		for _, s := range pool.Statuses() {
			if s.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE {
				return false
			}
		}
		return true
	})
	return pool
}

// TestSend checks what the nodes' answers to a transaction make of it.
func TestSend(t *testing.T) {
	t.Parallel()
	says := func(code int, message, data string) relayertest.RPCError {
		return relayertest.RPCError{Code: code, Message: message, Data: data}
	}
	broken, closed := says(-32603, "Internal error", ""), says(-32601, "Method not found", "")
	cheap := says(63, "An unexpected error occurred", "StarknetErrorCode.GAS_PRICE_TOO_LOW: 9 is below the threshold 10.")
	poor := says(55, "Account validation failed", "Max fee (5) exceeds balance (4).")
	for name, c := range map[string]struct {
		nodes             []any
		refused, unfunded bool
		fails             bool
		stuck             bool
	}{
		"taken":                       {[]any{map[string]any{"transaction_hash": "0xa"}}, false, false, false, false},
		"unfunded":                    {[]any{poor}, true, true, true, false},
		"unfunded, one takes nothing": {[]any{poor, closed}, true, true, true, false},
		"unfunded, as one node says":  {[]any{poor, broken}, false, true, true, false},
		"another signature":           {[]any{says(55, "Account validation failed", "is invalid")}, true, false, true, false},
		"another signature, one of two": {[]any{says(55, "Account validation failed", "is invalid"), broken},
			false, false, true, false},
		"too cheap":                   {[]any{cheap}, false, false, true, true},
		"too cheap, as specified":     {[]any{says(65, "Transaction fee below minimum", "")}, false, false, true, true},
		"too few resources":           {[]any{says(53, "resources", "")}, false, false, true, true},
		"too cheap, as one node says": {[]any{broken, cheap}, false, false, true, true},
		"the nonce is used":           {[]any{says(52, "Invalid transaction nonce", "")}, false, false, false, false},
		"the nonce is used by an earlier attempt": {[]any{says(52, "Invalid transaction nonce", "Duplicate nonce"), broken},
			false, false, false, false},
		"nobody serves": {[]any{broken}, false, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := New(Settings{Address: stark.FromUint64(9), Timeout: time.Hour, Pool: newNodes(t, c.nodes...)})
			attempt := relayer.Attempt{Hash: "0xa", Raw: []byte("{}"), Signed: time.Now()}
			err := a.Send(t.Context(), attempt)
			if (err != nil) != c.fails || errors.Is(err, relayer.ErrRefused) != c.refused ||
				errors.Is(err, relayer.ErrUnfunded) != c.unfunded {
				t.Errorf("%v; want it to fail: %t, refused: %t, unfunded: %t", err, c.fails, c.refused, c.unfunded)
			}
			flight := relayer.Flight{Attempts: []relayer.Attempt{attempt}}
			if got := a.outcome(flight, []endpoint.Status{{}}, 0, 0); got.Stuck != c.stuck {
				t.Errorf("it asks for another attempt: %t, want %t", got.Stuck, c.stuck)
			}
		})
	}
}
