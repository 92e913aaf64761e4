package endpoint

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// asked is one call that a fake server gets.
type asked struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
}

// fakeServer answers for a chain that does not exist, and refuses what it is told to. A call echo is answered with its
// parameters.
type fakeServer struct {
	// refuse answers a request in the server's place unless its status is 0.
	refuse func(calls []asked, isBatch bool) (status int, body string)
	url    string

	mu    sync.Mutex
	sizes []int // of the requests so far; a call that is in no batch counts as 0
}

func newFakeServer(t *testing.T, refuse func([]asked, bool) (int, string)) *fakeServer {
	t.Helper()
	s := &fakeServer{refuse: refuse}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var calls []asked
	isBatch := json.Unmarshal(body, &calls) == nil
	if !isBatch {
		calls = make([]asked, 1)
		_ = json.Unmarshal(body, &calls[0])
	}
	s.mu.Lock()
	if isBatch {
		s.sizes = append(s.sizes, len(calls))
	} else {
		s.sizes = append(s.sizes, 0)
	}
	s.mu.Unlock()
	if status, text := s.refuse(calls, isBatch); status != 0 {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		return
	}
	var answers []string
	for _, call := range calls {
		answers = append(answers, answer(call))
	}
	if !isBatch {
		_, _ = io.WriteString(w, answers[0])
		return
	}
	_, _ = io.WriteString(w, join(answers))
}

func answer(call asked) string {
	results := map[string]string{
		"eth_chainId":          `"0x1"`,
		"eth_getBlockByNumber": `{"number":"0x64","hash":"0x` + fmt.Sprintf("%064x", 1) + `","timestamp":"0x1"}`,
		"eth_getLogs":          "[]",
	}
	result, ok := results[call.Method]
	if !ok {
		result = string(call.Params)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, result)
}

func refused(call asked, code int, words string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, call.ID, code, words)
}

func join(answers []string) string {
	text := "["
	for i, a := range answers {
		if i > 0 {
			text += ","
		}
		text += a
	}
	return text + "]"
}

// taken are the sizes of the requests since it was last called.
func (s *fakeServer) taken() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sizes := s.sizes
	s.sizes = nil
	return sizes
}

// client connects to the server, which refuses nothing meanwhile: a refusal would teach the client already.
func (s *fakeServer) client(t *testing.T, settings Settings) *Client {
	t.Helper()
	settings.HTTPURL, settings.ChainID, settings.Contracts = s.url, big.NewInt(1), &Contracts{}
	settings.PollInterval, settings.Timeout = time.Second, time.Minute
	refuse := s.refuse
	s.refuse = func([]asked, bool) (int, string) { return 0, "" }
	d := NewDriver(settings)
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Disconnect(c) })
	s.refuse = refuse
	s.taken()
	return c
}

// echoes are calls of which each must come back with its number.
func echoes(n int, methods ...string) ([]rpc.BatchElem, []([]int)) {
	results := make([][]int, n)
	calls := make([]rpc.BatchElem, n)
	for i := range calls {
		method := "echo"
		if i < len(methods) {
			method = methods[i]
		}
		calls[i] = rpc.BatchElem{Method: method, Args: []any{i}, Result: &results[i]}
	}
	return calls, results
}

// Every way in which servers refuse batches ends with all calls made, in the fewest requests that the answer allows,
// and is remembered.
func TestBatchesLearn(t *testing.T) {
	t.Parallel()
	whole := func(status int, body string) func([]asked, bool) (int, string) {
		return func(_ []asked, isBatch bool) (int, string) {
			if isBatch {
				return status, body
			}
			return 0, ""
		}
	}
	above := func(most, status int, body string) func([]asked, bool) (int, string) {
		return func(calls []asked, _ bool) (int, string) {
			if len(calls) > most {
				return status, body
			}
			return 0, ""
		}
	}
	object := func(code int, words string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":null,"error":{"code":%d,"message":%q}}`, code, words)
	}
	// After one refusal or two, each call goes alone.
	one, two, each := []int{5, 0, 0, 0, 0, 0}, []int{5, 2, 0, 0, 0, 0, 0}, []int{0, 0, 0, 0, 0}
	cases := map[string]struct {
		refuse      func([]asked, bool) (int, string)
		methods     []string
		first, next []int // sizes of requests of five calls
	}{
		"takes all":            {above(5, 200, ""), nil, []int{5}, []int{5}},
		"none, in one error":   {whole(200, object(-32202, "batch requests are disabled")), nil, one, each},
		"none, behind blanks":  {whole(200, "\n\t "+object(-32000, "Batching not supported")), nil, one, each},
		"none, with a status":  {whole(400, object(-32600, "Batch requests are not supported")), nil, one, each},
		"none, without a word": {whole(200, object(-32600, "Invalid Request")), nil, two, each},
		"none, a page":         {whole(400, "<html>"), nil, two, each},
		"none, a failure":      {whole(500, ""), nil, two, each},
		"none, an empty array": {whole(200, "[]"), nil, two, each},
		"three, with a number": {
			above(3, 200, object(-32000, "Batch of more than 3 requests are not allowed on free tier")), nil,
			[]int{5, 3, 2}, []int{3, 2},
		},
		"three, without one": {
			above(3, 400, object(-32000, "batch size too large")), nil, []int{5, 2, 2, 0}, []int{2, 2, 0},
		},
		"two, a rate by word": {above(2, 429, object(-32005, "batch limit exceeded")), nil, []int{5}, []int{5}},
		"two, a rate in a body": {
			above(2, 200, object(-32005, "batch limit exceeded: 2")), nil, []int{5, 2, 2, 0}, []int{2, 2, 0},
		},
		"two, a page": {above(2, 413, "<html>"), nil, []int{5, 2, 2, 0}, []int{2, 2, 0}},
		"three, as go-ethereum": {
			func(calls []asked, _ bool) (int, string) {
				if len(calls) > 3 {
					return 200, join([]string{refused(calls[0], -32600, "batch too large")})
				}
				return 0, ""
			}, nil, []int{5, 2, 2, 0}, []int{2, 2, 0},
		},
		"three, each call refused": {
			func(calls []asked, _ bool) (int, string) {
				if len(calls) <= 3 {
					return 0, ""
				}
				var all []string
				for _, call := range calls {
					all = append(all, refused(call, -32600, "at most 3 calls in a batch"))
				}
				return 200, join(all)
			}, nil, []int{5, 3, 2}, []int{3, 2},
		},
		"three, the rest cut off": {
			func(calls []asked, _ bool) (int, string) {
				if len(calls) <= 3 {
					return 0, ""
				}
				return 200, join([]string{answer(calls[0]), answer(calls[1]), answer(calls[2])})
			}, nil, []int{5, 2}, []int{3, 2},
		},
		"not this method": {
			func(calls []asked, isBatch bool) (int, string) {
				if !isBatch {
					return 0, ""
				}
				var all []string
				for _, call := range calls {
					if call.Method == "alone" {
						all = append(all, refused(call, -32600, "alone cannot be called in a batch"))
					} else {
						all = append(all, answer(call))
					}
				}
				return 200, join(all)
			}, []string{"echo", "alone", "echo"}, []int{5, 0, 3}, []int{0, 0, 3},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFakeServer(t, c.refuse)
			client := server.client(t, Settings{})
			for turn, want := range [][]int{c.first, c.next} {
				calls, results := echoes(5, c.methods...)
				err := client.Batch(t.Context(), calls)
				if diff := cmp.Diff(want, server.taken()); diff != "" {
					t.Errorf("turn %d: the sizes of requests:\n%s", turn, diff)
				}
				if name == "two, a rate by word" {
					if err == nil || relayer.IsAnswered(err) {
						t.Errorf("turn %d: a limit of the rate is taken for one of batches: %v", turn, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("turn %d: %v", turn, err)
				}
				for i, result := range results {
					if len(result) != 1 || result[0] != i {
						t.Errorf("turn %d: call %d is answered with %v", turn, i, result)
					}
				}
			}
		})
	}
}

// What fails for another reason than the batch fails with that reason, and teaches nothing.
func TestBatchesOfABrokenServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status       int
		body, reason string
		sizes        []int
	}{
		"down":     {503, "<html>", "answers with HTTP status 503", []int{5}},
		"no key":   {401, "", "answers with HTTP status 401", []int{5}},
		"limits":   {429, "", "answers with HTTP status 429: it limits the rate of requests", []int{5}},
		"breaks":   {500, "", "answers with HTTP status 500", []int{5, 2, 0}},
		"moved":    {404, "<html>", "answers with HTTP status 404", []int{5, 2, 0}},
		"signs in": {200, "<html>", "answers with something other than the JSON expected", []int{5}},
		"odd":      {200, `{"ok":true}`, "answers with something other than the JSON expected", []int{5}},
		"fails": {
			200, `{"error":{"code":-32603,"message":"internal error"}}`, "answers with the error: internal error",
			[]int{5, 2, 0},
		},
		"rate": {
			200, `{"error":{"code":-32007,"message":"15/second request limit reached"}}`,
			"answers with the error: 15/second request limit reached", []int{5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := true
			server := newFakeServer(t, func([]asked, bool) (int, string) {
				if broken {
					return c.status, c.body
				}
				return 0, ""
			})
			client := server.client(t, Settings{})
			calls, _ := echoes(5)
			if err := client.Each(t.Context(), calls); relayer.IsAnswered(err) || relayer.Reason(err) != c.reason {
				t.Errorf("%v, want %s", err, c.reason)
			}
			if diff := cmp.Diff(c.sizes, server.taken()); diff != "" {
				t.Errorf("the sizes of requests:\n%s", diff)
			}
			broken = false
			if err := client.Each(t.Context(), calls); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]int{5}, server.taken()); diff != "" {
				t.Errorf("the sizes of requests after it was fixed:\n%s", diff)
			}
		})
	}
}

func TestBatchSize(t *testing.T) {
	t.Parallel()
	server := newFakeServer(t, func([]asked, bool) (int, string) { return 0, "" })
	client := server.client(t, Settings{BatchSize: 2})
	calls, _ := echoes(5)
	if err := client.Each(t.Context(), calls); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{2, 2, 0}, server.taken()); diff != "" {
		t.Errorf("the sizes of requests:\n%s", diff)
	}
	if d := NewDriver(Settings{WSURL: "ws://n.example"}); d.settings.BatchSize != 20 {
		t.Errorf("batches over WebSocket have %d calls", d.settings.BatchSize)
	}
}

// A limit belongs to the server and outlives its clients, but not for ever.
func TestLimitsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l limits
		if got := l.batch.atMost(100); got != 100 {
			t.Errorf("%d calls before anything is known", got)
		}
		l.batch.learn(3, believed)
		l.leaveAlone("eth_getLogs")
		time.Sleep(believed - time.Second)
		if got := l.batch.atMost(100); got != 3 || l.batch.atMost(2) != 2 || !l.goesAlone("eth_getLogs") {
			t.Errorf("%d calls after an hour less a second", got)
		}
		time.Sleep(time.Second)
		if got := l.batch.atMost(100); got != 100 || l.goesAlone("eth_getLogs") {
			t.Errorf("%d calls after an hour", got)
		}
	})
	server := newFakeServer(t, func(calls []asked, isBatch bool) (int, string) {
		if isBatch {
			return 200, `{"error":{"code":-1,"message":"no batch"}}`
		}
		return 0, ""
	})
	d := NewDriver(Settings{
		HTTPURL: server.url, ChainID: big.NewInt(1), Contracts: &Contracts{},
		PollInterval: time.Second, Timeout: time.Minute,
	})
	for turn, want := range [][]int{{2, 0, 0}, {0, 0}} {
		c, err := d.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d.Disconnect(c)
		if diff := cmp.Diff(want, server.taken()); diff != "" {
			t.Errorf("client %d: the sizes of requests:\n%s", turn, diff)
		}
	}
}

// Each server's words for a range that is too wide, and how wide the next one is.
func TestNarrower(t *testing.T) {
	t.Parallel()
	for whose, c := range map[string]struct {
		err  error
		want uint64 // of 1000
	}{
		"Alchemy, free": {rpcError{-32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 " +
			"block range. Based on your parameters, this block range should work: [0x1b4, 0x1bd]."}, 10},
		"Alchemy, size": {rpcError{-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K " +
			"block range and no limit on the response size, or you can request any block range with a cap of 10K logs in " +
			"the response. Based on your parameters, this block range should work: [0x0, 0x63]"}, 100},
		"QuickNode":     {rpcError{-32614, "eth_getLogs is limited to a 5 range"}, 5},
		"QuickNode 413": {relayer.StatusCode(413), 500},
		"Infura": {detailedError{
			rpcError{-32005, "query returned more than 10000 results"}, map[string]any{"from": "0x10", "to": "0x1f"},
		}, 16},
		"Infura, text": {rpcError{-32005, "query returned more than 10000 results. " +
			"Try with this block range [0x7A120, 0x7A183]."}, 100},
		"BNB":        {rpcError{-32005, "exceed maximum block range: 500"}, 500},
		"Avalanche":  {rpcError{-32000, "requested too many blocks from 500000 to 501000, maximum is set to 48"}, 48},
		"Cosmos":     {rpcError{-32000, "maximum [from, to] blocks distance: 200"}, 200},
		"reth":       {rpcError{-32602, "query exceeds max results 20000, retry with the range 500000-500119"}, 120},
		"Hedera":     {rpcError{-32000, "Exceeded maximum block range: 100"}, 100},
		"Monad":      {rpcError{-32602, "block range too large"}, 500},
		"Ankr":       {rpcError{-32062, "block range is too wide"}, 500},
		"zkEVM":      {rpcError{-32000, "logs are limited to a 1,00 block range"}, 100},
		"nethermind": {rpcError{-32005, "Too many logs requested. Max logs per response is 20000"}, 500},

		"a lag":          {rpcError{-32000, "block range extends beyond current head block"}, 0},
		"a rate":         {rpcError{-32005, "daily request count exceeded, request rate limited"}, 0},
		"another answer": {rpcError{-32602, "invalid argument 0: hex string without 0x prefix"}, 0},
		"no method":      {rpcError{-32601, "the method eth_getLogs does not exist"}, 0},
		"a page":         {relayer.StatusCode(502), 0},
	} {
		if got := narrower(c.err, 1000); got != c.want {
			t.Errorf("%s: %d blocks after 1000, want %d", whose, got, c.want)
		}
		if got := narrower(c.err, 1); got != 0 {
			t.Errorf("%s: %d blocks after one", whose, got)
		}
	}
}

// detailedError is a node's JSON-RPC error with data.
type detailedError struct {
	rpcError
	data any
}

func (e detailedError) ErrorData() any { return e.data }

// However a server states its limit, all blocks are read in the end, none twice, and no call asks for more than was
// learned.
func TestLogsLearn(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]string{
		"a number": "eth_getLogs is limited to a range of 10 blocks", "none": "block range is too wide",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 10
			var widths []uint64
			read := map[uint64]int{}
			server := newFakeServer(t, func(calls []asked, _ bool) (int, string) {
				var filters []struct{ FromBlock, ToBlock hexutil.Uint64 }
				if calls[0].Method != "eth_getLogs" || json.Unmarshal(calls[0].Params, &filters) != nil {
					return 0, ""
				}
				from, to := uint64(filters[0].FromBlock), uint64(filters[0].ToBlock)
				widths = append(widths, to-from+1)
				if to-from+1 > limit {
					return 400, refused(calls[0], -32600, words)
				}
				for n := from; n <= to; n++ {
					read[n]++
				}
				return 0, ""
			})
			client := server.client(t, Settings{Page: 64})
			filter := Filter{Contracts: []common.Address{{1}}, Topics: []common.Hash{{2}}}
			for from := uint64(1); from <= 100; {
				_, reached, err := client.Logs(t.Context(), filter, from, 100)
				if err != nil {
					t.Fatal(err)
				}
				from = reached + 1
			}
			for n := uint64(1); n <= 100; n++ {
				if read[n] != 1 {
					t.Errorf("block %d is read %d times", n, read[n])
				}
			}
			for i, width := range widths {
				if width > limit && i > 3 || width > 64 {
					t.Errorf("call %d asks for %d blocks after %v", i, width, widths[:i])
				}
			}
		})
	}
}
