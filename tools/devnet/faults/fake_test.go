package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// gate is a server in front of another that fails as it is told. While it is shut, connections are refused.
type gate struct {
	address string
	handler http.Handler

	mu     sync.Mutex
	server *httptest.Server // nil while it is shut
	fail   http.HandlerFunc // nil while all is well
	over   chan struct{}    // closed when what fails is over, so that nobody waits for more
}

// newGate is one that is open until the test ends.
func newGate(t *testing.T, handler http.HandlerFunc) *gate {
	t.Helper()
	g := &gate{address: ports.Address(t), handler: handler}
	g.open(t)
	t.Cleanup(g.shut)
	return g
}

func (g *gate) url() string { return "http://" + g.address }

func (g *gate) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		fail := g.fail
		g.mu.Unlock()
		if fail != nil {
			fail(w, r)
			return
		}
		g.handler.ServeHTTP(w, r)
	}))
	server.Listener = listener
	server.Start()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = server
}

// shut refuses connections, and ends those that stand.
func (g *gate) shut() {
	g.mu.Lock()
	server := g.server
	g.server = nil
	g.mu.Unlock()
	if server != nil {
		server.CloseClientConnections()
		server.Close()
	}
}

// broken has the gate answer in another way; nil: as it should.
func (g *gate) broken(fail http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail = fail; fail == nil {
		close(g.over)
		return
	}
	g.over = make(chan struct{})
}

// hang answers nothing.
func (g *gate) hang() {
	over := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = over
	g.fail = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the caller's connection is not seen
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}
}

// answering is a server that gives one answer.
func answering(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// call is one of JSON-RPC.
type call struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

// reply is its answer.
type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// rpc is an RPC node in front of a chain's. instead answers a call in its place; ok is false of one that goes through.
func rpc(chain string, instead func(c call) (result any, ok bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // whoever asks has gone
		}
		calls, batch := []call{}, bytes.HasPrefix(bytes.TrimSpace(body), []byte("["))
		if !batch {
			body = slices.Concat([]byte("["), body, []byte("]"))
		}
		if err := json.Unmarshal(body, &calls); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		replies := make([]reply, len(calls))
		for i, c := range calls {
			if result, ok := instead(c); ok {
				text, err := json.Marshal(result)
				replies[i] = reply{"2.0", c.ID, text, nil}
				if err != nil {
					panic(err)
				}
				continue
			}
			if replies[i], err = forward(r, chain, c); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		var answer any = replies
		if !batch {
			answer = replies[0]
		}
		_ = json.NewEncoder(w).Encode(answer) // whoever asks may have gone
	}
}

func forward(r *http.Request, chain string, c call) (reply, error) {
	text, err := json.Marshal(struct {
		Version string `json:"jsonrpc"`
		call
	}{"2.0", c})
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, chain, bytes.NewReader(text))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	var answer reply
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

// elsewhere is a node of another chain.
func elsewhere(c call) (any, bool) {
	if c.Method == "eth_chainId" || c.Method == "net_version" {
		return "0x5", true
	}
	return nil, false
}

// standing is a node whose chain stays as it is when something is first asked for.
func standing(chain string) http.HandlerFunc {
	var mu sync.Mutex
	known := map[string]json.RawMessage{}
	return func(w http.ResponseWriter, r *http.Request) {
		rpc(chain, func(c call) (any, bool) {
			key := fmt.Sprintf("%s %s", c.Method, c.Params)
			mu.Lock()
			defer mu.Unlock()
			if known[key] == nil {
				answer, err := forward(r, chain, c)
				if err != nil || answer.Error != nil {
					return nil, false
				}
				known[key] = answer.Result
			}
			return known[key], true
		})(w, r)
	}
}
