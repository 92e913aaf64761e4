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

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/stark"
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
	c := &Client{url: server.URL, http: client}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// every makes each call of this package once.
func every(ctx context.Context, c *Client) map[string]error {
	errs := map[string]error{}
	_, errs["LatestHead"] = c.LatestHead(ctx)
	_, errs["View"] = c.View(ctx, stark.Felt{}, stark.Felt{})
	_, errs["Nonce"] = c.Nonce(ctx, Pending, stark.Felt{})
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
		"nothing":          {200, ``, "", "ended the connection in the middle of an answer", false},
		"page":             {200, `<html>`, "", "answers with something other than the JSON expected", false},
		"cut":              {200, `{"jsonrpc":"2.0","result":"0x`, "", "ended the connection in the middle of an answer", false},
		"status":           {503, `<html>`, "", "answers with HTTP status 503", false},
		"no result":        {200, `{"jsonrpc":"2.0","id":1}`, "", "answers without a result", false},
		"null":             {200, `{"result":null}`, "", "answers without a result", false},
		"number":           {200, `{"result":5}`, "", "answers with something other than the JSON expected", false},
		"no method":        {200, `{"error":{"code":-32601,"message":"Method not found"}}`, "", "answers with the error: Method not found", false},
		"internal":         {500, `{"error":{"code":-32603,"message":"Internal error","data":"see https://h/key"}}`, "", "answers with the error: Internal error: see [address]", false},
		"unexpected":       {200, `{"error":{"code":63,"message":"An unexpected error occurred","data":"x"}}`, "", "answers with the error: An unexpected error occurred: x", false},
		"limited":          {200, `{"error":{"code":-32097,"message":"Daily rate limit reached"}}`, "", "answers with the error: Daily rate limit reached", false},
		"no such contract": {200, `{"error":{"code":20,"message":"Contract not found"}}`, "", "Contract not found", true},
		"revert in a call": {200, `{"error":{"code":40,"message":"Contract error","data":{"revert_error":{"contract_address":"0x1","class_hash":"0x2","selector":"0x3","error":{"contract_address":"0x4","error":"0x1 ('stale report')"}}}}}`, "View", "Contract error: stale report", true},
		"revert as text":   {200, `{"error":{"code":41,"message":"Transaction execution error","data":{"execution_error":"first\nlast line\n","transaction_index":0}}}`, "EstimateFee", "Transaction execution error: last line", true},
		"wide nonce":       {200, `{"result":"0x10000000000000000"}`, "Nonce", "answers with a nonce of more than 64 bits", false},
		"bad felt":         {200, `{"result":["0xg"]}`, "View", "answers with something other than the JSON expected", false},
		"two estimates":    {200, `{"result":[{},{}]}`, "EstimateFee", "answers with 2 estimates of one transaction", false},
		"old estimate":     {200, `{"result":[{"gas_consumed":"0x1","gas_price":"0x1","overall_fee":"0x1","unit":"FRI"}]}`, "EstimateFee", "answers with an estimate without all three resources", false},
		"other unit":       {200, `{"result":[` + estimate + `WEI"}]}`, "EstimateFee", `answers with an estimate in "WEI", and transactions of version 3 pay in FRI`, false},
		"no hash":          {200, `{"result":{}}`, "AddInvoke", "answers a transaction without its hash", false},
		"other finality":   {200, `{"result":{"finality_status":"DREAMT"}}`, "TransactionStatus", `answers with the finality status "DREAMT", which is not known`, false},
		"no execution":     {200, `{"result":{"finality_status":"ACCEPTED_ON_L2"}}`, "TransactionStatus", `answers with the execution status "", which is not known`, false},
		"late block":       {200, `{"result":{"block_number":1,"block_hash":"0x1","timestamp":253402300800}}`, "LatestHead", "answers with a block without number, hash or time", false},
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

// TestFlood holds that an answer of a GiB is not read to its end, and that this is said.
func TestFlood(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.SetFault(relayertest.Flood)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	_, err := (&Client{url: server.HTTPURL, http: &http.Client{Transport: relayer.Transport(transport, 1)}}).LatestHead(t.Context())
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
		"rejected": {`{"result":{"finality_status":"REJECTED","failure_reason":"too cheap"}}`, Status{Known: true, Rejected: true, Reason: "too cheap"}},
		"on L2":    {`{"result":{"finality_status":"ACCEPTED_ON_L2","execution_status":"SUCCEEDED"}}`, Status{Known: true, Accepted: true}},
		"on L1":    {`{"result":{"finality_status":"ACCEPTED_ON_L1","execution_status":"SUCCEEDED"}}`, Status{Known: true, Accepted: true}},
		"reverted": {`{"result":{"finality_status":"ACCEPTED_ON_L2","execution_status":"REVERTED","failure_reason":"0x1 ('unknown sender'), 0x2 ('ENTRYPOINT_FAILED')"}}`, Status{Known: true, Accepted: true, Reverted: true, Reason: "unknown sender"}},
	} {
		if got, err := client(t, 200, &c.body).TransactionStatus(t.Context(), "0x1"); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

// FuzzAnswer holds that no answer of a node makes a panic, nor an error without a reason.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"result":"0x1"}`, `{"result":["0x1","0x2"]}`, `{"result":{"events":[{"keys":[],"data":null}],"continuation_token":""}}`,
		`{"result":[{"l1_gas_consumed":"0x1","unit":"FRI"}]}`, `{"error":{"code":41,"message":"","data":{"execution_error":{"error":{"error":"('"}}}}}`,
		`{"result":{"finality_status":"RECEIVED","failure_reason":["x"]}}`, `{"error":{"code":40,"data":"\n\n"}}`, `{"result":{"transaction_hash":null}}`,
	} {
		f.Add(seed)
	}
	body := ""
	c := client(f, 200, &body)
	f.Fuzz(func(t *testing.T, answer string) {
		body = answer
		for method, err := range every(t.Context(), c) {
			if err != nil && !relayer.IsAnswered(err) && relayer.Reason(err) == "" {
				t.Errorf("%s fails without a reason: %v", method, err)
			}
		}
	})
}
