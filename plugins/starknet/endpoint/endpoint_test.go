package endpoint

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is one of a node that gives the same answer to every call.
func client(t testing.TB, code int, body *string) *Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, *body)
	}))
	t.Cleanup(server.Close)
	client := server.Client()
	client.Transport = relayer.Transport(client.Transport, longest)
	c := &Client{url: server.URL, http: client, preConfirmed: "pre_confirmed"}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// every makes each call of this package once.
func every(ctx context.Context, c *Client) map[string]error {
	errs := map[string]error{}
	_, errs["LatestHead"] = c.LatestHead(ctx)
	_, errs["View"] = c.View(ctx, stark.Felt{}, stark.Felt{})
	_, errs["Nonce"] = c.Nonce(ctx, PreConfirmed, stark.Felt{})
	_, errs["Events"] = c.Events(ctx, stark.Felt{}, stark.Felt{}, uint64(1))
	_, errs["EstimateFee"] = c.EstimateFee(ctx, struct{}{})
	_, errs["AddInvoke"] = c.AddInvoke(ctx, json.RawMessage("{}"))
	_, errs["TransactionStatus"] = c.TransactionStatus(ctx, "0x1")
	errs["Connect"] = (&Driver{}).check(ctx, c)
	return errs
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	estimate := `{"l1_gas_consumed":"0x0","l1_gas_price":"0x1","l2_gas_consumed":"0x0","l2_gas_price":"0x1","l1_data_gas_consumed":"0x0","l1_data_gas_price":"0x1","overall_fee":"0x1","unit":"`
	for name, c := range map[string]struct {
		code   int
		body   string
		method string // empty: all
		want   string
		answer bool // the node's sensible answer
	}{
		"nothing": {200, ``, "", "ended the connection in the middle of an answer", false},
		"page":    {200, `<html>`, "", "answers with something other than the JSON expected", false},
		"cut": {200, `{"jsonrpc":"2.0","result":"0x`, "", "ended the connection in the middle of an answer",
			false},
		"status":    {503, `<html>`, "", "answers with HTTP status 503", false},
		"no result": {200, `{"jsonrpc":"2.0","id":1}`, "", "answers without a result", false},
		"null":      {200, `{"result":null}`, "", "answers without a result", false},
		"number":    {200, `{"result":5}`, "", "answers with something other than the JSON expected", false},
		"no method": {200, `{"error":{"code":-32601,"message":"Method not found"}}`,
			"", "answers with the error: Method not found", false},
		"internal": {500, `{"error":{"code":-32603,"message":"Internal error","data":"see https://h/key"}}`,
			"", "answers with the error: Internal error: see [address]", false},
		"unexpected": {200, `{"error":{"code":63,"message":"An unexpected error occurred","data":"x"}}`,
			"", "answers with the error: An unexpected error occurred: x", false},
		"limited": {200, `{"error":{"code":-32097,"message":"Daily rate limit reached"}}`, "",
			"answers with the error: Daily rate limit reached", false},
		"gateway": {200, `{"error":{"code":-32000,"message":"Failed to reach the upstream, see https://h/key"}}`,
			"", "answers with the error: Failed to reach the upstream, see [address]", false},
		"of another server": {200, `{"error":{"code":-39999,"message":"exceeded the CU limit of a transaction"}}`,
			"", "answers with the error: exceeded the CU limit of a transaction", false},
		"no code": {200, `{"error":{"message":"no backend"}}`, "", "answers with the error: no backend", false},
		"not as JSON-RPC wants it": {200, `{"error":{"code":-32600,"message":"Invalid Request"}}`, "View",
			"Invalid Request", true},
		"that in time": {200, `{"error":{"code":-32602,"message":"The request timed out"}}`, "",
			"answers with the error: The request timed out", false},
		"no such contract": {200, `{"error":{"code":20,"message":"Contract not found"}}`, "", "Contract not found", true},
		"revert in a call": {200,
			`{"error":{"code":40,"message":"Contract error","data":{"revert_error":{"contract_address":"0x1","class_hash":"0x2","selector":"0x3","error":{"contract_address":"0x4","error":"0x1 ('stale report')"}}}}}`, "View", "Contract error: stale report", true},
		"revert as text": {200,
			`{"error":{"code":41,"message":"Transaction execution error","data":{"execution_error":"first\nlast line\n","transaction_index":0}}}`, "EstimateFee", "Transaction execution error: last line", true},
		"wide nonce": {200, `{"result":"0x10000000000000000"}`, "Nonce", "answers with a nonce of more than 64 bits",
			false},
		"bad felt":      {200, `{"result":["0xg"]}`, "View", "answers with something other than the JSON expected", false},
		"two estimates": {200, `{"result":[{},{}]}`, "EstimateFee", "answers with 2 estimates of one transaction", false},
		"old estimate": {200, `{"result":[{"gas_consumed":"0x1","gas_price":"0x1","overall_fee":"0x1","unit":"FRI"}]}`,
			"EstimateFee", "answers with an estimate without all three resources", false},
		"other unit": {200, `{"result":[` + estimate + `WEI"}]}`, "EstimateFee",
			`answers with an estimate in "WEI", and transactions of version 3 pay in FRI`, false},
		"no hash": {200, `{"result":{}}`, "AddInvoke", "answers a transaction without its hash", false},
		"other finality": {200, `{"result":{"finality_status":"DREAMT"}}`, "TransactionStatus",
			`answers with the finality status "DREAMT", which is not known`, false},
		"no execution": {200, `{"result":{"finality_status":"ACCEPTED_ON_L2"}}`, "TransactionStatus",
			`answers with the execution status "", which is not known`, false},
		"unknown tag": {200, `{"error":{"code":-32602,"message":"Invalid params","data":{"reason":"Invalid block id"}}}`,
			"Nonce", `takes no call at the block "pre_confirmed": it has come to serve another version of the JSON-RPC`, false},
		"nonce, with data": {200,
			`{"error":{"code":52,"message":"Invalid transaction nonce","data":"Account nonce: 0x2, got: 0x1"}}`, "AddInvoke",
			"Invalid transaction nonce: Account nonce: 0x2, got: 0x1", true},
		"underpriced": {200, `{"error":{"code":64,"message":"Replacement transaction is underpriced"}}`, "AddInvoke",
			"Replacement transaction is underpriced", true},
		"no account": {200, `{"error":{"code":20,"message":"Contract not found"}}`, "EstimateFee", "Contract not found",
			true},
		"no block": {200, `{"error":{"code":24,"message":"Block not found"}}`, "EstimateFee",
			"answers with the error: Block not found", false},
		"late block": {200, `{"result":{"block_number":1,"block_hash":"0x1","timestamp":253402300800}}`, "LatestHead",
			"answers with a block without number, hash or time", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for method, err := range every(t.Context(), client(t, c.code, &c.body)) {
				if c.method != "" && c.method != method {
					continue
				}
				if err == nil || relayer.IsAnswered(err) != c.answer {
					t.Errorf("%s: %v is taken for the node's answer: %t", method, err, relayer.IsAnswered(err))
				}
				reason := relayer.Reason(err)
				if c.answer {
					_, reason, _ = strings.Cut(err.Error(), ": ")
				}
				if reason != c.want {
					t.Errorf("%s: %q, want %q", method, reason, c.want)
				}
			}
		})
	}
}

// TestRefusedParameters checks that a node which refuses a call's parameters has answered it, unless it serves a
// version that does not know the block's tag any more: else one bad call would cost a feed its node, again and again.
func TestRefusedParameters(t *testing.T) {
	t.Parallel()
	for version, answer := range map[string]bool{"0.10.1": true, "0.9.0": true, "0.8.1": false} {
		server := relayertest.NewServer(t, "")
		server.Answer("starknet_specVersion", func(json.RawMessage) (any, error) { return version, nil })
		server.Answer("starknet_estimateFee", func(json.RawMessage) (any, error) { return nil, invalidParams{} })
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		c := &Client{url: server.HTTPURL, http: &http.Client{Transport: transport}, preConfirmed: "pre_confirmed"}
		_, err := c.EstimateFee(t.Context(), struct{}{})
		if relayer.IsAnswered(err) != answer || IsCode(err, CodeInvalidParams) != answer || c.changed.Load() == answer {
			t.Errorf("a node of version %s: %v, and it counts as changed: %t", version, err, c.changed.Load())
		}
	}
}

type invalidParams struct{}

func (invalidParams) Error() string { return "Invalid params" }

func (invalidParams) ErrorCode() int { return int(CodeInvalidParams) }

// TestFlood checks that an answer of a GiB is not read to its end, and that this is said.
func TestFlood(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.SetFault(relayertest.Flood)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	_, err := (&Client{url: server.HTTPURL, http: &http.Client{Transport: relayer.Transport(transport, 1)}}).
		LatestHead(t.Context())
	if relayer.IsAnswered(err) || relayer.Reason(err) != "answers with more than 1 MiB" {
		t.Error(err)
	}
	const slack = 256 // the system's buffers, which may be large
	if taken := server.Flooded(); taken > 1+slack {
		t.Errorf("it took %d MiB", taken)
	}
}

func TestTransactionStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want Status
	}{
		"unknown":  {`{"error":{"code":29,"message":"Transaction hash not found"}}`, Status{}},
		"received": {`{"result":{"finality_status":"RECEIVED"}}`, Status{Known: true}},
		"rejected": {`{"result":{"finality_status":"REJECTED","failure_reason":"too cheap"}}`,
			Status{Known: true, Rejected: true, Reason: "too cheap"}},
		"candidate": {`{"result":{"finality_status":"CANDIDATE"}}`, Status{Known: true}},
		"pre-confirmed": {`{"result":{"finality_status":"PRE_CONFIRMED","execution_status":"SUCCEEDED"}}`,
			Status{Known: true, Accepted: true}},
		"on L2": {`{"result":{"finality_status":"ACCEPTED_ON_L2","execution_status":"SUCCEEDED"}}`,
			Status{Known: true, Accepted: true}},
		"on L1": {`{"result":{"finality_status":"ACCEPTED_ON_L1","execution_status":"SUCCEEDED"}}`,
			Status{Known: true, Accepted: true}},
		"reverted": {
			`{"result":{"finality_status":"ACCEPTED_ON_L2","execution_status":"REVERTED","failure_reason":"0x1 ('unknown sender'), 0x2 ('ENTRYPOINT_FAILED')"}}`, Status{Known: true, Accepted: true, Reverted: true, Reason: "unknown sender"}},
	} {
		if got, err := client(t, 200, &c.body).TransactionStatus(t.Context(), "0x1"); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

// TestStatusByReceipt leaves the execution status to the receipt, as nodes may.
func TestStatusByReceipt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		receipt any
		want    Status
	}{
		"succeeded": {map[string]any{"execution_status": "SUCCEEDED"}, Status{Known: true, Accepted: true}},
		"reverted": {map[string]any{"execution_status": "REVERTED", "revert_reason": "0x1 ('stale report')"},
			Status{Known: true, Accepted: true, Reverted: true, Reason: "stale report"}},
		"vanished": {nil, Status{}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var call request
			answer := map[string]any{"result": c.receipt}
			switch _ = json.NewDecoder(r.Body).Decode(&call); {
			case call.Method == "starknet_getTransactionStatus":
				answer["result"] = map[string]any{"finality_status": "PRE_CONFIRMED"}
			case c.receipt == nil:
				answer = map[string]any{"error": map[string]any{"code": CodeHashNotFound, "message": "Transaction hash not found"}}
			}
			_ = json.NewEncoder(w).Encode(answer)
		}))
		t.Cleanup(server.Close)
		node := &Client{url: server.URL, http: server.Client()}
		t.Cleanup(node.http.CloseIdleConnections)
		if got, err := node.TransactionStatus(t.Context(), "0x1"); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

// TestVersions checks which versions are spoken, whatever their patch, and what each calls the block that is being
// made.
func TestVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"0.8.0": "pending", "0.8.1": "pending", "0.9.0": "pre_confirmed", "0.10.0": "pre_confirmed",
		"0.10.2": "pre_confirmed", "0.10.3-rc.0": "pre_confirmed", "0.10": "pre_confirmed",
		"0.7.1": "", "0.11.0": "", "0.80.1": "", "1.8.0": "", "1.0.8": "", "0.1": "", "0": "", "": "", "v0_10": "",
		"0.10-rc.0": "",
	} {
		body := `{"result":"` + version + `"}`
		c := client(t, 200, &body)
		c.preConfirmed = ""
		err := c.checkVersion(t.Context())
		said := `serves version "` + version +
			`" of the JSON-RPC, and 0.8, 0.9 and 0.10 are spoken; give its address for one of these, which often ends in /rpc/v0_10`
		if want == "" && relayer.Reason(err) != said {
			t.Errorf("%q: %v", version, err)
		}
		if want != "" && err != nil || c.preConfirmed != want {
			t.Errorf("%q: the block that is being made is %q, %v, want %q", version, c.preConfirmed, err, want)
		}
	}
}

// TestKey checks that a node's key goes with every call to its host, and with no call to another.
func TestKey(t *testing.T) {
	t.Parallel()
	const key = "geheim"
	keys := make(chan string, 1)
	serve := func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("x-apikey")
		_, _ = io.WriteString(w, `{"result":"0.10.0"}`)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(serve))
	t.Cleanup(elsewhere.Close)
	var here *httptest.Server
	here = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, here.URL, http.StatusPermanentRedirect)
		case "/elsewhere":
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		case "/round":
			http.Redirect(w, r, here.URL+"/round", http.StatusPermanentRedirect)
		default:
			serve(w, r)
		}
	}))
	t.Cleanup(here.Close)
	// The rules for redirects are tried on a transport that leaves them to the client.
	following := func(path, key string) *Client {
		c := NewDriver(Settings{URL: here.URL + path, APIKey: key}).client()
		transport := &http.Transport{}
		c.http.Transport = transport
		t.Cleanup(transport.CloseIdleConnections)
		return c
	}
	for path, want := range map[string]string{"": key, "/here": key, "/elsewhere": ""} {
		c := following(path, key)
		if err := c.checkVersion(t.Context()); err != nil {
			t.Errorf("%s: %v", path, err)
		} else if got := <-keys; got != want {
			t.Errorf("%s: the key %q came, want %q", path, got, want)
		}
	}
	c := following("/round", key)
	if err := c.checkVersion(t.Context()); relayer.Reason(err) != "redirects a call too often" ||
		strings.Contains(err.Error(), key) {
		t.Errorf("round and round: %v", err)
	}
	for target, want := range map[string]string{"https://h/b": key, "http://h/a": "", "https://other/a": ""} {
		from := httptest.NewRequest(http.MethodPost, "https://h/a", nil)
		next := httptest.NewRequest(http.MethodPost, target, nil)
		next.Header.Set("x-apikey", key)
		if err := redirect(next, []*http.Request{from}); err != nil || next.Header.Get("x-apikey") != want {
			t.Errorf("from %s to %s: the key %q goes, %v, want %q", from.URL, target, next.Header.Get("x-apikey"), err, want)
		}
	}
	without := following("", "")
	if err := without.checkVersion(t.Context()); err != nil || <-keys != "" {
		t.Errorf("without a key: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	body := ""
	c := client(f, 200, &body)
	relayertest.FuzzAnswers(f, []string{
		``, `{}`, `{"result":"0x1"}`, `{"result":["0x1","0x2"]}`,
		`{"result":{"events":[{"keys":[],"data":null}],"continuation_token":""}}`,
		`{"result":[{"l1_gas_consumed":"0x1","unit":"FRI"}]}`,
		`{"error":{"code":41,"message":"","data":{"execution_error":{"error":{"error":"('"}}}}}`,
		`{"result":{"finality_status":"RECEIVED","failure_reason":["x"]}}`, `{"error":{"code":40,"data":"\n\n"}}`,
		`{"result":{"transaction_hash":null}}`,
	}, &body, func(ctx context.Context) map[string]error { return every(ctx, c) }, func(err error) bool {
		return relayer.IsAnswered(err) || relayer.Reason(err) != ""
	})
}
