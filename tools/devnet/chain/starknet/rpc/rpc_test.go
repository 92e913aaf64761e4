package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// versions are those that nodes serve.
var versions = []chain.Version{chain.Version8, chain.Version9, chain.Version10}

func start(t *testing.T, nodes int, versions ...chain.Version) *Network {
	t.Helper()
	c, err := chain.New(chain.Settings{BlockTime: -1})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(c, Settings{Nodes: nodes, Versions: versions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// post sends a body and returns the status and the answer. It makes a connection of its own.
func post(ctx context.Context, url, body string) (int, string, error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// ask calls a method and returns its result, or its error's code.
func ask(t *testing.T, url, method string, params ...any) (result json.RawMessage, code int) {
	t.Helper()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	status, text, err := post(t.Context(), url, string(body))
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: status %d, %v", method, status, err)
	}
	var answer struct {
		Result json.RawMessage
		Error  *chain.Failure
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%s: %q: %v", method, text, err)
	}
	if answer.Error != nil {
		return nil, answer.Error.Code
	}
	return answer.Result, 0
}

func TestFraming(t *testing.T) {
	t.Parallel()
	url := start(t, 1).URLs()[0]
	for name, test := range map[string]struct{ body, want string }{
		"no parameters": {`{"jsonrpc":"2.0","id":7,"method":"starknet_specVersion"}`,
			`{"jsonrpc":"2.0","id":7,"result":"0.10.3-rc.0"}`},
		"an id of text": {`{"jsonrpc":"2.0","id":"a","method":"starknet_chainId","params":[]}`,
			`{"jsonrpc":"2.0","id":"a","result":"0x4c4f4f505f4445564e4554"}`},
		"named parameters": {
			`{"jsonrpc":"2.0","id":1,"method":"starknet_getNonce","params":{"contract_address":"0x1","block_id":"latest"}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":20,"message":"Contract not found"}}`},
		"a result of false": {`{"jsonrpc":"2.0","id":1,"method":"starknet_syncing"}`,
			`{"jsonrpc":"2.0","id":1,"result":false}`},
		"a result of zero": {`{"jsonrpc":"2.0","id":1,"method":"starknet_blockNumber"}`,
			`{"jsonrpc":"2.0","id":1,"result":0}`},
		"a notification": {`{"jsonrpc":"2.0","method":"starknet_specVersion"}`, ``},
		"no JSON":        {`{`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		"nothing":        {``, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		"another version": {`{"jsonrpc":"1.0","id":1,"method":"starknet_specVersion"}`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}`},
		"no method": {`{"jsonrpc":"2.0","id":1}`,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}`},
		"a method of no sort": {`{"jsonrpc":"2.0","id":1,"method":"eth_call"}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`},
		"an admin's method": {`{"jsonrpc":"2.0","id":1,"method":"loop_fund"}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`},
		"a parameter too many": {`{"jsonrpc":"2.0","id":1,"method":"starknet_chainId","params":[1]}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"1 parameters are given, and there are 0"}}`},
		"a parameter missing": {`{"jsonrpc":"2.0","id":1,"method":"starknet_getNonce","params":["latest"]}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"the parameter contract_address is missing"}}`},
		"a parameter of no use": {`{"jsonrpc":"2.0","id":1,"method":"starknet_chainId","params":{"x":1}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"there is no parameter \"x\""}}`},
		"parameters of no form": {`{"jsonrpc":"2.0","id":1,"method":"starknet_chainId","params":3}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"params must be an array or an object"}}`},
		"a batch": {`[{"jsonrpc":"2.0","id":1,"method":"starknet_syncing"},{"jsonrpc":"2.0","method":"x"},1]`,
			`[{"jsonrpc":"2.0","id":1,"result":false},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}]`},
		"an empty batch":           {`[]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}`},
		"a broken batch":           {`[1`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		"a batch of notifications": {`[{"jsonrpc":"2.0","method":"x"}]`, ``},
	} {
		_, got, err := post(t.Context(), url, test.body)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", response.StatusCode)
	}
	if status, _, err := post(t.Context(), url,
		strings.Repeat(" ", maxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body too large: status %d, %v, want 413", status, err)
	}
}

// TestCodes asks for what is not there.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version.Spec(), func(t *testing.T) {
			t.Parallel()
			testCodes(t, version)
		})
	}
}

func testCodes(t *testing.T, version chain.Version) {
	n := start(t, 1, version)
	now := version.PreConfirmed()
	others := map[string]int{"pending": -32602, "pre_confirmed": 0, "l1_accepted": 24}
	if version == chain.Version8 {
		others = map[string]int{"pending": 0, "pre_confirmed": -32602, "l1_accepted": -32602}
	}
	for tag, want := range others {
		if _, code := ask(t, n.URLs()[0], "starknet_getBlockWithTxHashes", tag); code != want {
			t.Errorf("the block %s: code %d, want %d", tag, code, want)
		}
	}
	url, token := n.URLs()[0], chain.FeeToken()
	call := func(to stark.Felt, selector string, calldata ...string) any {
		return map[string]any{"contract_address": to, "entry_point_selector": selector,
			"calldata": append([]string{}, calldata...)}
	}
	balanceOf := "0x35a73cd311a05d46deda634c5ee045db92f811b4e74bca4437fcb5302b7af33"
	for name, test := range map[string]struct {
		method string
		params []any
		want   int
	}{
		"a call":            {"starknet_call", []any{call(token, balanceOf, "0x1"), "latest"}, 0},
		"a call of nobody":  {"starknet_call", []any{call(stark.FromUint64(1), balanceOf), now}, 20},
		"a call of nothing": {"starknet_call", []any{call(token, "0x1"), now}, 21},
		"a call that fails": {"starknet_call", []any{call(token, balanceOf), now}, 40},
		"a call of no block": {"starknet_call", []any{call(token, balanceOf), map[string]any{"block_number": 99}},
			24},
		"a call without calldata": {"starknet_call",
			[]any{map[string]any{"contract_address": token, "entry_point_selector": "0x1"}, now}, -32602},
		"a block of no sort":    {"starknet_getBlockWithTxHashes", []any{"newest"}, -32602},
		"a block to come":       {"starknet_getBlockWithTxHashes", []any{map[string]any{"block_number": 99}}, 24},
		"a class":               {"starknet_getClassHashAt", []any{"latest", token}, 0},
		"a class of nobody":     {"starknet_getClassHashAt", []any{"latest", "0x1"}, 20},
		"an address beyond":     {"starknet_getClassHashAt", []any{"latest", "0x" + strings.Repeat("f", 64)}, -32602},
		"a status of nothing":   {"starknet_getTransactionStatus", []any{"0x1"}, 29},
		"a receipt of nothing":  {"starknet_getTransactionReceipt", []any{"0x1"}, 29},
		"a transaction of none": {"starknet_getTransactionByHash", []any{"0x1"}, 29},
		"a transaction of version 1": {"starknet_addInvokeTransaction",
			[]any{map[string]any{"type": "INVOKE", "version": "0x1"}}, 61},
		"a transaction to estimate": {"starknet_addInvokeTransaction",
			[]any{map[string]any{"type": "INVOKE", "version": "0x100000000000000000000000000000003"}}, 61},
		"a transaction of no type": {"starknet_addInvokeTransaction",
			[]any{map[string]any{"type": "DECLARE", "version": "0x3"}}, -32602},
		"a transaction of nothing": {"starknet_addInvokeTransaction",
			[]any{map[string]any{"type": "INVOKE", "version": "0x3"}}, -32602},
		"an estimate of nothing":  {"starknet_estimateFee", []any{[]any{}, []any{}, now}, 0},
		"an estimate of a flag":   {"starknet_estimateFee", []any{[]any{}, []any{"SKIP_FEE_CHARGE"}, now}, -32602},
		"events without a filter": {"starknet_getEvents", []any{}, -32602},
		"events in large chunks":  {"starknet_getEvents", []any{map[string]any{"chunk_size": 2000}}, 31},
		"events by a wrong token": {"starknet_getEvents", []any{map[string]any{"chunk_size": 2, "continuation_token": "x"}},
			33},
	} {
		if _, code := ask(t, url, test.method, test.params...); code != test.want {
			t.Errorf("%s: code %d, want %d", name, code, test.want)
		}
	}
}

// oneShot is a transaction that a good node takes.
func oneShot(t *testing.T, n *Network, nonce uint64) json.RawMessage {
	t.Helper()
	owner := n.chain.Owner()
	bound := func(amount, price int64) map[string]chain.Quantity {
		return map[string]chain.Quantity{"max_amount": {Int: big.NewInt(amount)},
			"max_price_per_unit": {Int: big.NewInt(price)}}
	}
	fields := map[string]any{
		"type": "INVOKE", "version": "0x3", "sender_address": owner.Address, "calldata": []string{"0x0"},
		"nonce": stark.FromUint64(nonce), "signature": []string{},
		"resource_bounds": map[string]any{"l1_gas": bound(0, 1e15), "l2_gas": bound(10_000_000, 1e10),
			"l1_data_gas": bound(10_000, 1e9)},
		"tip": "0x0", "paymaster_data": []string{}, "account_deployment_data": []string{},
		"nonce_data_availability_mode": "L1", "fee_data_availability_mode": "L1",
	}
	text := func() json.RawMessage {
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	inv, failure := chain.ParseInvoke(text(), false)
	if failure != nil {
		t.Fatal(failure)
	}
	signature, err := owner.Key.Sign(inv.Hash(n.chain.ID()))
	if err != nil {
		t.Fatal(err)
	}
	fields["signature"] = []stark.Felt{signature.R, signature.S}
	return text()
}

func hashOf(t *testing.T, n *Network, text json.RawMessage) stark.Felt {
	t.Helper()
	inv, failure := chain.ParseInvoke(text, false)
	if failure != nil {
		t.Fatal(failure)
	}
	return inv.Hash(n.chain.ID())
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const version = `{"jsonrpc":"2.0","id":1,"method":"starknet_specVersion"}`
	for name, test := range map[string]struct {
		fault  Fault
		status int
		body   string
		failed bool
	}{
		"down":    {fault: Fault{Kind: "down"}, failed: true},
		"garbage": {fault: Fault{Kind: "garbage"}, status: 200, body: "\x00\xff"},
		"html":    {fault: Fault{Kind: "html"}, status: 200, body: "<!DOCTYPE html>"},
		"429":     {fault: Fault{Kind: "status", Status: 429}, status: 429, body: "<!DOCTYPE html>"},
		"error":   {fault: Fault{Kind: "error", Code: 63}, status: 200, body: `"code":63`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := start(t, 2)
			if _, code := ask(t, n.AdminURL(), "loop_fault", 1, test.fault); code != 0 {
				t.Fatalf("loop_fault: code %d", code)
			}
			status, body, err := post(t.Context(), n.URLs()[1], version)
			if (err != nil) != test.failed || status != test.status || !strings.Contains(body, test.body) {
				t.Errorf("status %d, body %q, error %v", status, body, err)
			}
			if test.fault.Kind == "down" && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("error %v, want a refused connection", err)
			}
			if _, code := ask(t, n.URLs()[0], "starknet_specVersion"); code != 0 {
				t.Errorf("the other node: code %d", code)
			}
			if _, code := ask(t, n.AdminURL(), "loop_fault", 1); code != 0 {
				t.Fatalf("loop_fault: code %d", code)
			}
			if _, code := ask(t, n.URLs()[1], "starknet_specVersion"); code != 0 {
				t.Errorf("healed: code %d", code)
			}
		})
	}
}

func TestHang(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	if err := n.Fail(0, Fault{Kind: "hang"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := post(ctx, n.URLs()[0], "{}"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want none but the deadline's", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := post(t.Context(), n.URLs()[0], "{}")
		ended <- err
	}()
	for len(ended) == 0 { // the request may come after the fault has gone, and then be answered
		if err := n.Fail(0, Fault{Kind: "hang"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err == nil {
		t.Error("a hung request was answered")
	}
}

func TestFaultsOfTransactions(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version.Spec(), func(t *testing.T) {
			t.Parallel()
			testFaultsOfTransactions(t, version)
		})
	}
}

func testFaultsOfTransactions(t *testing.T, version chain.Version) {
	executed, rejected := "PRE_CONFIRMED", "unknown"
	if version == chain.Version8 {
		executed, rejected = "ACCEPTED_ON_L2", "REJECTED"
	}
	status := func(t *testing.T, n *Network, hash stark.Felt) string {
		t.Helper()
		result, code := ask(t, n.URLs()[0], "starknet_getTransactionStatus", hash)
		if code == 29 {
			return "unknown"
		}
		var s chain.Status
		if err := json.Unmarshal(result, &s); err != nil {
			t.Fatal(err)
		}
		return s.Finality
	}
	for kind, test := range map[string]struct {
		code   int
		status string
	}{
		"refuse": {55, "unknown"},
		"reject": {0, rejected},
		"drop":   {0, "unknown"},
		"lose":   {0, "RECEIVED"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := start(t, 1, version)
			if err := n.Fail(0, Fault{Kind: kind, Code: 55, Transactions: 1}); err != nil {
				t.Fatal(err)
			}
			text := oneShot(t, n, 0)
			if _, code := ask(t, n.URLs()[0], "starknet_addInvokeTransaction", text); code != test.code {
				t.Errorf("code %d, want %d", code, test.code)
			}
			if got := status(t, n, hashOf(t, n, text)); got != test.status {
				t.Errorf("status %s, want %s", got, test.status)
			}
			if _, code := ask(t, n.URLs()[0], "starknet_addInvokeTransaction", text); code != 0 {
				t.Errorf("again: code %d", code)
			}
		})
	}
	t.Run("mute", func(t *testing.T) {
		t.Parallel()
		n := start(t, 1, version)
		if err := n.Fail(0, Fault{Kind: "mute", Transactions: 1}); err != nil {
			t.Fatal(err)
		}
		text := oneShot(t, n, 0)
		body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "starknet_addInvokeTransaction",
			"params": []any{text}})
		if err != nil {
			t.Fatal(err)
		}
		if _, answer, err := post(t.Context(), n.URLs()[0], string(body)); err == nil {
			t.Errorf("it answered %s", answer)
		}
		if got := status(t, n, hashOf(t, n, text)); got != executed {
			t.Errorf("status %s, want %s", got, executed)
		}
		if _, code := ask(t, n.URLs()[0], "starknet_addInvokeTransaction", oneShot(t, n, 1)); code != 0 {
			t.Errorf("the next: code %d", code)
		}
	})
	t.Run("lag", func(t *testing.T) {
		t.Parallel()
		n := start(t, 2, version)
		if err := n.Fail(0, Fault{Kind: "lag", Blocks: 1}); err != nil {
			t.Fatal(err)
		}
		text := oneShot(t, n, 0)
		if _, code := ask(t, n.URLs()[0], "starknet_addInvokeTransaction", text); code != 0 {
			t.Fatalf("code %d", code)
		}
		for _, want := range []string{"unknown", "unknown", "ACCEPTED_ON_L2"} {
			if got := status(t, n, hashOf(t, n, text)); got != want {
				t.Errorf("status %s, want %s", got, want)
			}
			n.chain.MakeBlock()
		}
	})
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	url := n.AdminURL()
	must := func(method string, params ...any) (text string) {
		t.Helper()
		result, code := ask(t, url, method, params...)
		if code != 0 {
			t.Fatalf("%s: code %d", method, code)
		}
		if json.Unmarshal(result, &text) != nil {
			return string(result)
		}
		return text
	}
	key, err := stark.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	account := must("loop_deployAccount", key.Public(), "0x5")
	must("loop_fund", account, "0x7")
	if got := must("starknet_call",
		map[string]any{"contract_address": chain.FeeToken(),
			"entry_point_selector": "0x35a73cd311a05d46deda634c5ee045db92f811b4e74bca4437fcb5302b7af33",
			"calldata":             []string{account}}, "pre_confirmed"); got != `["0xc","0x0"]` {
		t.Errorf("balance %s, want 12", got)
	}
	must("loop_pushNonce", account, 3)
	if got := must("starknet_getNonce", "pre_confirmed", account); got != "0x3" {
		t.Errorf("nonce %s, want 0x3", got)
	}
	feed := must("loop_deployAggregator", map[string]any{"min_answer": "0x1", "max_answer": "0x64", "description": "x"})
	calldata := []string{"0x4", "0x1", "0x11", "0x2", "0x12", "0x3", "0x13", "0x4", "0x14", "0x1", "0x0", "0x2", "0x0"}
	must("loop_setConfig", feed, calldata)
	if _, code := ask(t, url, "loop_setConfig", feed, calldata[:3]); code != -32602 {
		t.Errorf("a configuration that the contract refuses: code %d", code)
	}
	if got := must("loop_createBlock", 2); got != "2" {
		t.Errorf("block %s, want 2", got)
	}
	if got := must("loop_createBlock"); got != "3" {
		t.Errorf("block %s, want 3", got)
	}
	must("loop_setGasPrices", "0x1", "0x2", "0x3")
	if got := must("starknet_getBlockWithTxHashes", "pre_confirmed"); !strings.Contains(got,
		`"l2_gas_price":{"price_in_fri":"0x2"`) {
		t.Errorf("the block that is being made is %s", got)
	}
	must("loop_hold", true)
	must("starknet_addInvokeTransaction", oneShot(t, n, 2)) // the owner has configured twice
	must("loop_hold", false)
	must("loop_revertTransmissions", 1, "on demand")
	for name, params := range map[string][]any{
		"loop_fund":                {account, "0x" + strings.Repeat("f", 60)},
		"loop_deployAccount":       {"x", "0x1"},
		"loop_deployAggregator":    {map[string]any{"min_answer": "0x2", "max_answer": "0x1"}},
		"loop_setConfig":           {feed, "x"},
		"loop_createBlock":         {0},
		"loop_pushNonce":           {"0x1", 1},
		"loop_revertTransmissions": {1, strings.Repeat("x", 32)},
		"loop_hold":                {1},
		"loop_setGasPrices":        {"0x1", "0x2", 3},
		"loop_fault":               {9},
	} {
		if _, code := ask(t, url, name, params...); code != -32602 {
			t.Errorf("%s with bad parameters: code %d, want -32602", name, code)
		}
	}
	for _, fault := range []Fault{{Kind: "x"}, {Kind: "status"}, {Kind: "error"}, {Kind: "refuse"}} {
		if err := n.Fail(0, fault); err == nil {
			t.Errorf("the fault %+v is taken", fault)
		}
	}
}

// TestVersionsInTurn has nodes of two versions show one network.
func TestVersionsInTurn(t *testing.T) {
	t.Parallel()
	n := start(t, 3, chain.Version8, chain.Version10)
	text := oneShot(t, n, 0)
	if _, code := ask(t, n.URLs()[0], "starknet_addInvokeTransaction", text); code != 0 {
		t.Fatalf("code %d", code)
	}
	for i, want := range []string{"0.8.1 ACCEPTED_ON_L2", "0.10.3-rc.0 PRE_CONFIRMED", "0.8.1 ACCEPTED_ON_L2"} {
		var version string
		var status chain.Status
		for method, into := range map[string]any{"starknet_specVersion": &version, "starknet_getTransactionStatus": &status} {
			var params []any
			if into == &status {
				params = []any{hashOf(t, n, text)}
			}
			result, _ := ask(t, n.URLs()[i], method, params...)
			if err := json.Unmarshal(result, into); err != nil {
				t.Fatal(err)
			}
		}
		if got := version + " " + status.Finality; got != want {
			t.Errorf("node %d: %s, want %s", i, got, want)
		}
	}
}

// FuzzRequest looks for requests that break a node. The answer to each is JSON or nothing.
func FuzzRequest(f *testing.F) {
	c, err := chain.New(chain.Settings{BlockTime: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	n := &Network{chain: c}
	node := &Node{chain: c}
	n.nodes = []*Node{node}
	methods := n.adminMethods()
	delete(methods, "loop_createBlock") // it may be told to make many
	f.Add(
		[]byte(
			`{"jsonrpc":"2.0","id":1,"method":"starknet_getEvents","params":[{"from_block":{"block_number":0},"to_block":"pre_confirmed","keys":[["0x1"]],"chunk_size":1,"continuation_token":"0-0"}]}`))
	f.Add(
		[]byte(
			`[{"jsonrpc":"2.0","id":1,"method":"starknet_call","params":{"request":{"contract_address":"0x1","entry_point_selector":"0x2","calldata":["0x3"]},"block_id":"pre_confirmed"}}]`))
	f.Add(
		[]byte(
			`{"jsonrpc":"2.0","id":1,"method":"starknet_addInvokeTransaction","params":[{"type":"INVOKE","version":"0x3","sender_address":"0x1","calldata":["0x1","0x2"],"nonce":"0x0","signature":["0x1","0x2"],"resource_bounds":{"l1_gas":{"max_amount":"0x1","max_price_per_unit":"0x1"},"l2_gas":{"max_amount":"0x1","max_price_per_unit":"0x1"},"l1_data_gas":{"max_amount":"0x1","max_price_per_unit":"0x1"}},"tip":"0x0","paymaster_data":[],"account_deployment_data":[],"nonce_data_availability_mode":"L1","fee_data_availability_mode":"L1"}]}`))
	f.Add(
		[]byte(
			`{"jsonrpc":"2.0","id":1,"method":"starknet_estimateFee","params":[[{"type":"INVOKE","version":"0x100000000000000000000000000000003"}],["SKIP_VALIDATE"],"latest"]}`))
	f.Add(
		[]byte(
			`{"jsonrpc":"2.0","id":1,"method":"loop_deployAggregator","params":[{"min_answer":"0x1","max_answer":"0x2","billing":{}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		recorder := httptest.NewRecorder()
		handler{methods}.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
		if answer := recorder.Body.Bytes(); recorder.Code == http.StatusOK && !json.Valid(answer) {
			t.Errorf("answered %q", answer)
		}
	})
}
