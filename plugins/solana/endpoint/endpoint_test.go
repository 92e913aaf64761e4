package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// driver is one of a chain that is none of the public ones.
func driver(url string) *Driver {
	return NewDriver(Settings{
		URL: url, ChainID: "localnet", Commitment: rpc.CommitmentConfirmed, PollInterval: 10 * time.Millisecond,
		Timeout:  time.Minute,
		Accounts: &relayer.Followed[sol.PublicKey]{}, Pushed: func(sol.PublicKey, uint64, []byte) {},
	})
}

// client is one of a node that gives the same answer to every call.
func client(t testing.TB, code int, body *string) *Client {
	t.Helper()
	var connected atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&call)
		if !connected.Load() {
			result := map[string]string{"getGenesisHash": `"a"`, "getSlot": `1`}[call.Method]
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, result)
			return
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, *body)
	}))
	t.Cleanup(server.Close)
	d := driver(server.URL)
	c, err := d.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(c) })
	connected.Store(true)
	return c
}

// coded is an error that a node answers with.
type coded struct {
	code    int
	message string
}

func (c coded) Error() string  { return c.message }
func (c coded) ErrorCode() int { return c.code }

// every makes each call of this package once.
func every(ctx context.Context, c *Client) map[string]error {
	errs := map[string]error{}
	_, errs["Slot"] = c.Slot(ctx, rpc.CommitmentConfirmed)
	_, errs["BlockHeight"] = c.BlockHeight(ctx)
	_, errs["LatestBlockhash"] = c.LatestBlockhash(ctx, rpc.CommitmentConfirmed)
	_, _, errs["Accounts"] = c.Accounts(ctx, []sol.PublicKey{{1}, {2}}, Slice{Length: 8})
	_, errs["Statuses"] = c.Statuses(ctx, []string{"a", "b"}, true)
	errs["Send"] = c.Send(ctx, []byte{1}, true, 0)
	_, errs["Units"] = c.Units(ctx, []byte{1})
	_, errs["Balance"] = c.Balance(ctx, sol.PublicKey{1})
	_, errs["Block"] = c.Block(ctx, 7)
	_, errs["RecentFees"] = c.RecentFees(ctx, []sol.PublicKey{{1}}, 0)
	errs["check"] = driver("").check(ctx, c)
	return errs
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const noJSON, noResult = "answers with something other than the JSON expected", "answers without a result"
	for name, c := range map[string]struct {
		code   int
		body   string
		method string // empty: all
		want   string
		answer bool // the node's sensible answer
	}{
		"nothing": {200, ``, "", noJSON, false},
		"page":    {200, `<html>`, "", noJSON, false},
		"cut":     {200, `{"jsonrpc":"2.0","result":"0x`, "", noJSON, false},
		"status":  {503, `<html>`, "", "answers with HTTP status 503", false},
		"limited": {429, `{}`, "", "answers with HTTP status 429: it limits the rate of requests", false},
		"text":    {200, `{"jsonrpc":"2.0","result":"x"}`, "BlockHeight", noJSON, false},
		"list":    {200, `{"jsonrpc":"2.0","result":[]}`, "Accounts", noJSON, false},
		"no blockhash": {200, `{"jsonrpc":"2.0","result":{"value":null}}`, "LatestBlockhash",
			"answers without a blockhash", false},
		"one account": {200, `{"jsonrpc":"2.0","result":{"value":[null]}}`, "Accounts", "answers with 1 accounts of 2",
			false},
		"other encoding": {200, `{"jsonrpc":"2.0","result":{"value":[null,{"data":["x","base58"]}]}}`, "Accounts",
			"answers with an account in another encoding than asked for", false},
		"no base64": {200, `{"jsonrpc":"2.0","result":{"value":[null,{"data":["!","base64"]}]}}`, "Accounts",
			"answers with an account that is not the base64 it claims to be", false},
		"three statuses": {200, `{"jsonrpc":"2.0","result":{"value":[null,null,null]}}`, "Statuses",
			"answers with 3 statuses of 2", false},
		"no simulation": {200, `{"jsonrpc":"2.0","result":{}}`, "Units", noResult, false},
		"fails": {200, `{"jsonrpc":"2.0","result":{"value":{"err":"AccountNotFound"}}}`, "Units",
			`the simulation fails with "AccountNotFound"`, true},
		"unhealthy": {200, `{"jsonrpc":"2.0","error":{"code":-32005,"message":"Node is behind by 42 slots"}}`,
			"", "answers with the error: Node is behind by 42 slots", false},
		"limited in JSON": {200, `{"jsonrpc":"2.0","error":{"code":-32097,"message":"Too many requests, see https://h/key"}}`,
			"", "answers with the error: Too many requests, see [address]", false},
		"refused": {200,
			`{"jsonrpc":"2.0","error":{"code":-32002,"message":"Transaction simulation failed: Blockhash not found"}}`, "Send",
			"Transaction simulation failed: Blockhash not found", true},
		"skipped": {200, `{"jsonrpc":"2.0","error":{"code":-32007,"message":"Slot 7 was skipped"}}`, "Block",
			ErrNoBlock.Error(), true},
		"not confirmed": {200,
			`{"jsonrpc":"2.0","error":{"code":-32014,"message":"Block status not yet available for slot 7"}}`, "Block",
			ErrNoBlock.Error(), true},
		"too new a block": {200,
			`{"jsonrpc":"2.0","error":{"code":-32015,"message":"Transaction version (2) is not supported"}}`, "Block",
			"Transaction version (2) is not supported", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for method, err := range every(t.Context(), client(t, c.code, &c.body)) {
				if c.method != "" && c.method != method {
					continue
				}
				if err == nil || relayer.IsAnswered(err) != c.answer {
					t.Errorf("%s: %v is taken for the node's answer: %t", method, err, relayer.IsAnswered(err))
					continue
				}
				reason := relayer.Reason(err)
				if c.answer {
					_, reason, _ = strings.Cut(": "+err.Error(), ": "+names[method])
				}
				if reason != c.want {
					t.Errorf("%s: %q, want %q", method, reason, c.want)
				}
			}
		})
	}
}

// names are what errors of a call begin with.
var names = map[string]string{"Send": "sendTransaction: ", "Block": "getBlock: "}

// TestNoMethod checks that a node which lacks a method is said to, by the method's name, and that it is no fault where
// others do as well.
func TestNoMethod(t *testing.T) {
	t.Parallel()
	body := `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"}}`
	errs := every(t.Context(), client(t, 200, &body))
	for call, method := range map[string]string{
		"Slot": "getSlot", "BlockHeight": "getBlockHeight", "LatestBlockhash": "getLatestBlockhash",
		"Accounts": "getMultipleAccounts", "Statuses": "getSignatureStatuses", "Send": "sendTransaction",
		"Units": "simulateTransaction", "Balance": "getBalance", "check": "getGenesisHash",
		"Block": "getBlock", "RecentFees": "getRecentPrioritizationFees",
	} {
		err := errs[call]
		delete(errs, call)
		if relayer.IsAnswered(err) || relayer.Reason(err) != "has no method "+method {
			t.Errorf("%s: %v, want that it has no method %s", call, err, method)
		}
		want := slices.Contains([]string{"Send", "Balance", "Block", "RecentFees"}, call)
		if relayer.IsUnserved(err) != want {
			t.Errorf("%s: %v is not served: %t", call, err, !want)
		}
	}
	for call := range errs {
		t.Errorf("%s is not held to anything", call)
	}
}

// TestCommitmentThatIsGone has a node refuse the commitment confirmed, in the words of agave's parser: it is asked
// under finalized from then on.
func TestCommitmentThatIsGone(t *testing.T) {
	t.Parallel()
	blockhash := fmt.Sprintf(`{"context":{"slot":1},"value":{"blockhash":%q,"lastValidBlockHeight":1}}`,
		genesis("testnet"))
	answers := map[string]string{
		"getGenesisHash": `"a"`, "getSlot": `1`, "getBlockHeight": `1`, "sendTransaction": `"1"`, "getBlock": `{}`,
		"getLatestBlockhash":          blockhash,
		"getMultipleAccounts":         `{"context":{"slot":1},"value":[null,null]}`,
		"getSignatureStatuses":        `{"value":[null,null]}`,
		"simulateTransaction":         `{"value":{"unitsConsumed":1}}`,
		"getBalance":                  `{"value":1}`,
		"getRecentPrioritizationFees": `[]`,
	}
	gone := coded{
		-32602, "Invalid params: unknown variant `confirmed`, expected `processed` or `finalized`.",
	}
	server := relayertest.NewServer(t, "")
	var refused atomic.Int64
	for method, answer := range answers {
		server.Answer(method, func(params json.RawMessage) (any, error) {
			if strings.Contains(string(params), `"confirmed"`) {
				refused.Add(1)
				return nil, gone
			}
			return json.RawMessage(answer), nil
		})
	}
	d := driver(server.HTTPURL)
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(c) })
	for range 2 {
		for call, err := range every(t.Context(), c) {
			if err != nil && call != "check" { // which asks a node of its own
				t.Errorf("%s: %v", call, err)
			}
		}
	}
	if refused.Load() != 1 {
		t.Errorf("%d calls were refused, want the first alone", refused.Load())
	}

	// What a node says of something else teaches nothing.
	other := relayertest.NewServer(t, "")
	other.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return "a", nil })
	other.Answer("getSlot", func(json.RawMessage) (any, error) { return 1, nil })
	other.Answer("getBalance", func(params json.RawMessage) (any, error) {
		return nil, coded{-32602, "Invalid param: WrongSize"}
	})
	o, err := driver(other.HTTPURL).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(o) })
	if _, err := o.Balance(t.Context(), sol.PublicKey{1}); err == nil || other.Requests("getBalance") != 1 {
		t.Errorf("a wrong address: %v after %d calls", err, other.Requests("getBalance"))
	}
}

// TestSendOptions checks what a node is told to do with a transaction.
func TestSendOptions(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return "a", nil })
	server.Answer("getSlot", func(json.RawMessage) (any, error) { return 1, nil })
	var sent []string
	server.Answer("sendTransaction", func(params json.RawMessage) (any, error) {
		sent = append(sent, string(params))
		return "1", nil
	})
	d := driver(server.HTTPURL)
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(c) })
	for _, retries := range []int{0, 3, -1} {
		if err := c.Send(t.Context(), []byte{1}, true, retries); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`["AQ==",{"encoding":"base64","maxRetries":0,"preflightCommitment":"confirmed","skipPreflight":true}]`,
		`["AQ==",{"encoding":"base64","maxRetries":3,"preflightCommitment":"confirmed","skipPreflight":true}]`,
		`["AQ==",{"encoding":"base64","preflightCommitment":"confirmed","skipPreflight":true}]`,
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestConnectChecksTheChain(t *testing.T) {
	t.Parallel()
	mainnet, devnet := genesis("mainnet"), genesis("devnet")
	for name, c := range map[string]struct {
		chain, genesis string
		want           error
	}{
		"mainnet":                {"mainnet", mainnet, nil},
		"devnet for mainnet":     {"mainnet", devnet, relayer.ErrWrongChain},
		"a chain of one's own":   {"localnet", "a", nil},
		"mainnet for that":       {"localnet", mainnet, relayer.ErrWrongChain},
		"no genesis":             {"localnet", "", relayer.ErrWrongChain},
		"another one for devnet": {"devnet", "a", relayer.ErrWrongChain},
	} {
		server := relayertest.NewServer(t, "")
		server.Answer("getGenesisHash", func(json.RawMessage) (any, error) { return c.genesis, nil })
		server.Answer("getSlot", func(json.RawMessage) (any, error) { return 42, nil })
		d := driver(server.HTTPURL)
		d.settings.ChainID = c.chain
		client, err := d.Connect(t.Context())
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			if client.Newest() != 42 {
				t.Errorf("%s: the newest slot is %d, want 42", name, client.Newest())
			}
			d.Disconnect(client)
		}
	}
	_, err := driver("http://user:geheim@127.0.0.1:1/geheim").Connect(t.Context())
	if err == nil || relayer.Reason(err) != "refuses connections" || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a node that is not there: %v", err)
	}
}

// TestFlood checks that an answer of a GiB is not read to its end, and that this is said.
func TestFlood(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.SetFault(relayertest.Flood)
	d := driver(server.HTTPURL)
	d.longest = 1 // to read more only takes time
	_, err := d.Connect(t.Context())
	if relayer.IsAnswered(err) || relayer.Reason(err) != "answers with more than 1 MiB" {
		t.Error(err)
	}
	const slack = 256 // the system's buffers, which may be large
	if taken := server.Flooded(); taken > 1+slack {
		t.Errorf("it took %d MiB", taken)
	}
}

func TestHorizon(t *testing.T) {
	t.Parallel()
	var h Horizon
	for _, slot := range []uint64{5, 9, 7} {
		h.Reach(slot)
	}
	if h.Slot() != 9 {
		t.Errorf("the horizon is at %d, want 9", h.Slot())
	}
}

func FuzzAnswer(f *testing.F) {
	body := ""
	c := client(f, 200, &body)
	relayertest.FuzzAnswers(f, []string{
		``, `{}`, `{"result":1}`, `{"result":"x"}`, `{"result":{"value":[null,{"data":["","base64"]}]}}`,
		`{"result":{"value":[{"data":[]}]}}`,
		`{"result":{"context":{"slot":1},"value":{"blockhash":"1","lastValidBlockHeight":1}}}`,
		`{"result":{"value":[{"err":{},"confirmationStatus":"x"},null]}}`,
		`{"error":{"code":1,"message":"","data":{}}}`,
		`{"result":{"transactions":[{"transaction":{"message":{"instructions":[{"programIdIndex":-1}]}}}]}}`,
	}, &body, func(ctx context.Context) map[string]error { return every(ctx, c) }, func(err error) bool {
		return relayer.IsAnswered(err) || relayer.Reason(err) != ""
	})
}
