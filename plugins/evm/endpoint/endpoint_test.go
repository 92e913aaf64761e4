package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rpcError is a node's JSON-RPC error.
type rpcError struct {
	code    int
	message string
}

func (e rpcError) Error() string  { return e.message }
func (e rpcError) ErrorCode() int { return e.code }

func TestClassify(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err    error
		answer bool
		reason string
	}{
		"revert": {rpcError{3, "execution reverted: stale report"}, true, "execution reverted: stale report"},
		"nonce":  {rpcError{-32000, "nonce too low"}, true, "nonce too low"},
		"lag":    {rpcError{-32000, "header not found"}, false, "answers with the error: header not found"},
		"limit": {rpcError{-32005, "daily request count exceeded"}, false,
			"answers with the error: daily request count exceeded"},
		"no method": {rpcError{-32601, "the method does not exist"}, false,
			"answers with the error: the method does not exist"},
		"address": {rpcError{-32603, "upstream https://key@host failed"}, false,
			"answers with the error: upstream [address] failed"},
		"long": {rpcError{-32603, strings.Repeat("ä", 1000)}, false,
			"answers with the error: " + strings.Repeat("ä", 176) + "…"},
		"no money": {rpcError{402, "upgrade to go on"}, false, "answers with the error: upgrade to go on"},
		"a rate": {rpcError{-32007, "50/second request limit reached"}, false,
			"answers with the error: 50/second request limit reached"},
		"a rate by its word": {
			rpcError{-32000, "You've exceeded the RPS limit available on the current plan."}, false,
			"answers with the error: You've exceeded the RPS limit available on the current plan.",
		},
		"a rate for a while": {
			detailedError{rpcError{-32005, "project ID request rate exceeded"},
				map[string]any{"rate": map[string]any{"backoff_seconds": 30.0}}}, false,
			"answers with the error: project ID request rate exceeded; it asks to be left alone for 30s",
		},
		"a rate for ever": {
			detailedError{rpcError{-32005, "slow"}, map[string]any{"rate": map[string]any{"backoff_seconds": 1e300}}}, false,
			"answers with the error: slow; it asks to be left alone for 1m0s",
		},
		"a gas limit": {rpcError{-32005, "Transaction gas limit '9' exceeds max gas per sec limit '5'"}, true,
			"Transaction gas limit '9' exceeds max gas per sec limit '5'"},
		"lag of anvil": {
			rpcError{-32602, "BlockOutOfRangeError: block height is 5 but requested was 6"}, false,
			"answers with the error: BlockOutOfRangeError: block height is 5 but requested was 6",
		},
		"gas of anvil": {rpcError{-32603, "EVM error OutOfGas"}, true, "EVM error OutOfGas"},
		"pruned": {rpcError{4444, "pruned history unavailable"}, false,
			"answers with the error: pruned history unavailable"},
		"no result":     {fmt.Errorf("call: %w", rpc.ErrNoResult), false, "answers without a result"},
		"closed":        {rpc.ErrClientQuit, false, "closed the connection"},
		"anything else": {errors.New("secret"), false, "cannot be reached: the connection failed"},
	}
	for name, c := range cases {
		got := classify(c.err)
		if relayer.IsAnswered(got) != c.answer || relayer.Reason(got) != c.reason {
			t.Errorf("%s: answer %t, %q; want %t, %q", name, relayer.IsAnswered(got), relayer.Reason(got), c.answer, c.reason)
		}
	}
}

// short is the limit of answers in tests, in MiB: to read more of a flood only takes time.
const short = 1

func connect(t *testing.T, server *relayertest.Server) (*Client, error) {
	t.Helper()
	d := NewDriver(Settings{HTTPURL: server.HTTPURL, ChainID: big.NewInt(1), PollInterval: time.Second,
		Timeout: time.Minute, Contracts: &Contracts{}})
	d.longest = short
	c, err := d.Connect(t.Context())
	if err == nil {
		t.Cleanup(func() { d.Disconnect(c) })
	}
	return c, err
}

func scripted(t *testing.T) *relayertest.Server {
	t.Helper()
	server := relayertest.NewServer(t, "")
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x1", nil })
	server.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) {
		return map[string]any{"number": "0x64", "hash": common.Hash{1}, "timestamp": "0x1"}, nil
	})
	return server
}

func TestConnectChecksTheChain(t *testing.T) {
	t.Parallel()
	server := scripted(t)
	c, err := connect(t, server)
	if err != nil || c.Head().Number != 100 || c.Head().BaseFee != nil {
		t.Fatalf("head %+v, %v", c.Head(), err)
	}
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x2", nil })
	if _, err := connect(t, server); !errors.Is(err, relayer.ErrWrongChain) {
		t.Errorf("another chain: %v", err)
	}
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return 1, nil })
	if _, err := connect(t, server); err == nil {
		t.Error("a number for a quantity is taken")
	}
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x1", nil })
	for name, block := range map[string]any{"nothing": nil, "text": "latest", "empty": map[string]any{},
		"huge": map[string]any{"number": "0x10000000000000000", "hash": common.Hash{}, "timestamp": "0x1"}} {
		server.Answer("eth_getBlockByNumber", func(json.RawMessage) (any, error) { return block, nil })
		if _, err := connect(t, server); err == nil {
			t.Errorf("a block that is %s is taken", name)
		}
	}
}

func TestEachSplitsBatches(t *testing.T) {
	t.Parallel()
	server := scripted(t)
	c, err := connect(t, server)
	if err != nil {
		t.Fatal(err)
	}
	server.Answer("echo", func(params json.RawMessage) (any, error) {
		if string(params) == "[120]" {
			return nil, errors.New("no such thing")
		}
		return params, nil
	})
	results := make([][]int, 250)
	calls := make([]rpc.BatchElem, len(results))
	for i := range calls {
		calls[i] = rpc.BatchElem{Method: "echo", Args: []any{i}, Result: &results[i]}
	}
	if err := c.Each(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if i == 120 {
			if !relayer.IsAnswered(calls[i].Error) {
				t.Errorf("call 120: %v", calls[i].Error)
			}
			continue
		}
		if len(r) != 1 || r[0] != i {
			t.Errorf("call %d: %v", i, r)
		}
	}
	if err := c.Batch(t.Context(), calls); !relayer.IsAnswered(err) {
		t.Errorf("Batch with one error: %v", err)
	}
}

// TestFlood checks that an answer of a GiB is not read to its end, and that this is said.
func TestFlood(t *testing.T) {
	t.Parallel()
	server := scripted(t)
	c, err := connect(t, server)
	if err != nil {
		t.Fatal(err)
	}
	server.SetFault(relayertest.Flood)
	const slack = 256 // the system's buffers, which may be large
	var result string
	for name, call := range map[string]func() error{
		"one call": func() error { return c.Call(t.Context(), &result, "eth_chainId") },
		"a batch": func() error {
			return c.Batch(t.Context(),
				[]rpc.BatchElem{{Method: "eth_chainId", Result: &result}, {Method: "eth_gasPrice", Result: &result}})
		},
	} {
		before := server.Flooded()
		if err := call(); relayer.IsAnswered(err) || relayer.Reason(err) != "answers with more than 1 MiB" {
			t.Errorf("%s: %v", name, err)
		}
		if taken := server.Flooded() - before; taken > short+slack {
			t.Errorf("%s took %d MiB", name, taken)
		}
	}
}

// flooding is a node whose answer is too long.
type flooding struct{ fakeNode }

func (*flooding) Flood() string { return strings.Repeat("f", 2*short<<20) }

func TestFloodOverWebSocket(t *testing.T) {
	t.Parallel()
	server := rpc.NewServer()
	if err := server.RegisterName("eth", &flooding{fakeNode{height: 100, chain: "0x1"}}); err != nil {
		t.Fatal(err)
	}
	sockets := httptest.NewServer(server.WebsocketHandler([]string{"*"}))
	d := NewDriver(Settings{WSURL: strings.Replace(sockets.URL, "http", "ws", 1), ChainID: big.NewInt(1),
		PollInterval: time.Second, Timeout: time.Minute, Contracts: &Contracts{}})
	d.longest = short
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Disconnect(c)
		server.Stop()
		sockets.CloseClientConnections()
		sockets.Close()
	})
	var result string
	if err := c.Call(t.Context(), &result, "eth_flood"); relayer.IsAnswered(err) ||
		relayer.Reason(err) != "answers with more than is read of one message" {
		t.Error(err)
	}
}

// TestCallsCarryBothNames checks that a server gets a call's bytes whichever of their two names it knows.
func TestCallsCarryBothNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"input", "data"} {
		server := scripted(t)
		server.Answer("eth_call", func(params json.RawMessage) (any, error) {
			var call []json.RawMessage
			fields := map[string]json.RawMessage{}
			if json.Unmarshal(params, &call) != nil || json.Unmarshal(call[0], &fields) != nil ||
				string(fields[name]) != `"0x01020304"` {
				return nil, errors.New("execution reverted")
			}
			return "0x2a", nil
		})
		c, err := connect(t, server)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(t.Context(),
			Read{Contract: common.Address{1}, Input: []byte{1, 2, 3, 4}, Block: "latest"}); err != nil {
			t.Errorf("a read at a server that knows %s alone: %v", name, err)
		}
		var output hexutil.Bytes
		if err := c.Batch(t.Context(), []rpc.BatchElem{View(common.Address{1}, []byte{1, 2, 3, 4}, &output)}); err != nil {
			t.Errorf("a view at a server that knows %s alone: %v", name, err)
		}
	}
}

// TestErrorsWithAStatus checks that a JSON-RPC error is the answer to a call whatever status it comes with, and speaks
// of the node where its code or its words do.
func TestErrorsWithAStatus(t *testing.T) {
	t.Parallel()
	for words, answer := range map[string]bool{"nonce too low: have 4, want 5": true, "header not found": false} {
		for _, status := range []int{400, 404, 413, 422, 500} {
			server := newFakeServer(t, func(calls []asked, _ bool) (int, string) {
				return status, refused(calls[0], -32001, words)
			})
			err := server.client(t, Settings{}).Call(t.Context(), new(string), "eth_sendRawTransaction", "0x00")
			if relayer.IsAnswered(err) != answer || err == nil || !strings.Contains(relayer.Reason(err), words) {
				t.Errorf("status %d: %v", status, err)
			}
		}
	}
}
