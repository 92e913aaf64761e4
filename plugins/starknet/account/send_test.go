package account

import (
	"encoding/json"
	"errors"
	"maps"
	"math/big"
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
	var servers []*relayertest.Server
	for _, answer := range answers {
		servers = append(servers, serve(t, map[string]any{"starknet_addInvokeTransaction": answer}))
	}
	return poolOf(t, servers...)
}

// newNode makes a pool of one node that gives these answers.
func newNode(t *testing.T, answers map[string]any) (*Pool, *relayertest.Server) {
	t.Helper()
	server := serve(t, answers)
	return poolOf(t, server), server
}

// serve makes a node at block 1 that gives these answers to calls of methods, errors among them.
func serve(t *testing.T, answers map[string]any) *relayertest.Server {
	t.Helper()
	server := relayertest.NewServer(t, "")
	all := map[string]any{
		"starknet_specVersion": "0.10.0", "starknet_chainId": "0x1",
		"starknet_getBlockWithTxHashes": map[string]any{"block_number": 1, "block_hash": "0x1", "timestamp": 1},
	}
	maps.Copy(all, answers)
	for method, result := range all {
		server.Answer(method, func(json.RawMessage) (any, error) {
			if err, failed := result.(error); failed {
				return nil, err
			}
			return result, nil
		})
	}
	return server
}

func poolOf(t *testing.T, servers ...*relayertest.Server) *Pool {
	t.Helper()
	var nodes []relayer.Node[*endpoint.Client]
	for i, server := range servers {
		nodes = append(nodes, relayer.Node[*endpoint.Client]{Name: string(rune('a' + i)),
			Driver: endpoint.NewDriver(endpoint.Settings{
				URL: server.HTTPURL, ChainID: stark.FromUint64(1), PollInterval: time.Hour, Timeout: time.Minute,
			})})
	}
	pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute}, nodes)
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

// TestReplacementBeyondTheBalance checks that no replacement is signed for which the account cannot pay, while the
// earlier attempt may be one that it can pay for, and that only a known balance prevents one.
func TestReplacementBeyondTheBalance(t *testing.T) {
	t.Parallel()
	unit := map[string]any{
		"l1_gas_consumed": "0x0", "l1_gas_price": "0x1", "l2_gas_consumed": "0x3e8", "l2_gas_price": "0xa",
		"l1_data_gas_consumed": "0x0", "l1_data_gas_price": "0x1", "overall_fee": "0x2710", "unit": "FRI",
	}
	pool, server := newNode(t, map[string]any{"starknet_getNonce": "0x5", "starknet_estimateFee": []any{unit}})
	asked := errors.New("the keystore is asked")
	a := New(Settings{
		Address: stark.FromUint64(9), Pool: pool, FeeToken: stark.FromUint64(8), FeeMultiplier: 1,
		Keystore: answers{err: asked},
	})
	a.Use(stark.FromUint64(7))
	kept, err := json.Marshal(terms{Bounds: Bounds{
		Bound{0, big.NewInt(1)}, Bound{1000, big.NewInt(10)}, Bound{0, big.NewInt(1)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	second := relayer.Draft{Sequence: 5, Attempts: []relayer.Attempt{{Hash: "0xa", Terms: kept}}}
	if _, err := a.Sign(t.Context(), relayer.Draft{Sequence: 5}); !errors.Is(err, asked) ||
		server.Requests("starknet_call") > 0 {
		t.Errorf("a first attempt: %v, and the balance was asked for %d times", err, server.Requests("starknet_call"))
	}
	for balance, want := range map[string]error{"0x2af8": asked, "0x2af7": relayer.ErrUnfunded, "": asked} { // 11 FRI each
		server.Answer("starknet_call", func(json.RawMessage) (any, error) {
			if balance == "" {
				return nil, relayertest.RPCError{Code: 20, Message: "Contract not found"}
			}
			return []string{balance, "0x0"}, nil
		})
		if _, err := a.Sign(t.Context(), second); !errors.Is(err, want) {
			t.Errorf("with a balance of %q: %v, want %v", balance, err, want)
		}
	}
}

// TestSolvent checks that an account counts as funded once it holds what it was refused for, and that its trouble ends
// with that.
func TestSolvent(t *testing.T) {
	t.Parallel()
	pool, server := newNode(t, map[string]any{
		"starknet_addInvokeTransaction": relayertest.RPCError{Code: 54, Message: "Account balance is smaller"},
	})
	a := New(Settings{Address: stark.FromUint64(9), Pool: pool, FeeToken: stark.FromUint64(8)})
	kept, err := json.Marshal(terms{Bounds: Bounds{
		Bound{0, big.NewInt(1)}, Bound{1000, big.NewInt(10)}, Bound{0, big.NewInt(1)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if funded, err := a.Solvent(t.Context()); funded || err != nil {
		t.Errorf("nothing is known of it, and it can pay: %t, %v", funded, err)
	}
	err = a.Send(t.Context(), relayer.Attempt{Hash: "0xa", Raw: []byte("{}"), Terms: kept})
	if !errors.Is(err, relayer.ErrUnfunded) || a.Trouble() == "" {
		t.Fatalf("%v, and it tells %q", err, a.Trouble())
	}
	for _, c := range []struct {
		balance string
		want    bool
	}{{"", false}, {"0x270f", false}, {"0x2710", true}} {
		if c.balance != "" {
			server.Answer("starknet_call", func(json.RawMessage) (any, error) { return []string{c.balance, "0x0"}, nil })
		}
		funded, err := a.Solvent(t.Context())
		if funded != c.want || (err != nil) != (c.balance == "") || (a.Trouble() == "") != funded {
			t.Errorf("with %q it can pay: %t, %v, and it tells %q", c.balance, funded, err, a.Trouble())
		}
	}
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
