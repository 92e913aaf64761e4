package relayertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is how a Server misbehaves.
type Fault int

// The faults of a Server. Setting any but None, Hang and Mute breaks the connections that are open, as a real failure
// does. HTML, Limit, Garbage, Flood and Lag break WebSockets alone.
const (
	// None means that the server serves.
	None Fault = iota
	// Down closes connections at once.
	Down
	// Hang accepts connections and sends no byte.
	Hang
	// Lag answers each request as it was last answered before the fault, and refuses WebSockets.
	Lag
	// HTML answers everything with a page of status 200, like a captive portal.
	HTML
	// Limit answers everything with status 429.
	Limit
	// Garbage cuts every answer off in the middle of a JSON text.
	Garbage
	// Flood answers everything with a JSON text of a GiB.
	Flood
	// Mute keeps WebSockets open but sends nothing over them; HTTP serves.
	Mute
)

// Server stands between a relayer and a JSON-RPC node, over HTTP and WebSocket, and misbehaves on demand. Without a
// node behind it, it answers only what Answer scripts.
type Server struct {
	// HTTPURL and WSURL are where it listens.
	HTTPURL, WSURL string

	proxy   *httputil.ReverseProxy
	target  string
	serving sync.WaitGroup // counts under mu, and not while the fault is Down

	mu       sync.Mutex
	fault    Fault
	changed  chan struct{} // closed when the fault changes
	conns    map[*gatedConn]struct{}
	scripts  map[string]func(params json.RawMessage) (any, error)
	recorded map[string]json.RawMessage
	requests map[string]int
	flooded  int
}

// NewServer starts a server in front of a node's HTTP address (which must accept WebSockets too), or of none if it is
// empty. The end of the test waits for the scripts of Answer that still run.
func NewServer(t testing.TB, node string) *Server {
	t.Helper()
	s := &Server{
		target: node, changed: make(chan struct{}), conns: map[*gatedConn]struct{}{},
		scripts: map[string]func(json.RawMessage) (any, error){}, recorded: map[string]json.RawMessage{},
		requests: map[string]int{},
	}
	if node != "" {
		u, err := url.Parse(node)
		if err != nil {
			t.Fatalf("the node's address: %v", err)
		}
		s.proxy = &httputil.ReverseProxy{
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u) },
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s.HTTPURL, s.WSURL = "http://"+l.Addr().String(), "ws://"+l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(gatedListener{l, s}) // ends with the test
	}()
	t.Cleanup(func() {
		s.SetFault(Down)
		_ = server.Close()
		<-served
		s.serving.Wait()
	})
	return s
}

// SetFault changes how the server behaves from now on.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	close(s.changed)
	s.changed = make(chan struct{})
	for c := range s.conns {
		if f == Down || f != None && f != Hang && f != Mute && c.hijacked {
			_ = c.Conn.Close()
		}
	}
}

// Answer scripts the result of a method, instead of the node's; nil ends that. An error becomes a JSON-RPC error, with
// the code that its method ErrorCode() int returns, and the data that ErrorData() any does, if it has them. The
// relayer's goroutines run the script until the test's end: it must not end the test, and an error of its own is one to
// return.
func (s *Server) Answer(method string, script func(params json.RawMessage) (any, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if script == nil {
		delete(s.scripts, method)
		return
	}
	s.scripts[method] = script
}

// Requests counts the calls of a method over HTTP that reached the server.
func (s *Server) Requests(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[method]
}

// Flooded returns how many MiB the server has sent under the fault Flood.
func (s *Server) Flooded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flooded
}

// flood answers with a text that nobody wants to read.
func (s *Server) flood(w io.Writer) {
	const length = 1024 // MiB
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"`)
	part := bytes.Repeat([]byte("f"), 1<<20)
	for range length {
		if _, err := w.Write(part); err != nil {
			return
		}
		s.mu.Lock()
		s.flooded++
		s.mu.Unlock()
	}
	_, _ = io.WriteString(w, `"}`)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	if fault == Down {
		s.mu.Unlock()
		panic(http.ErrAbortHandler) // the request came just before
	}
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()
	switch fault {
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Please sign in.</body></html>")
		return
	case Limit:
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case Garbage:
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"resu`)
		return
	case Flood:
		s.flood(w)
		return
	case None, Down, Hang, Lag, Mute: // which answer, or break elsewhere
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if fault == Lag || s.proxy == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.proxy.ServeHTTP(w, r)
		return
	}
	s.call(w, r, fault)
}

type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
}

type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// call answers one request or a batch, each part by script, record or node.
func (s *Server) call(w http.ResponseWriter, r *http.Request, fault Fault) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		var batch []request
		if json.Unmarshal(body, &batch) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		replies := make([]reply, len(batch))
		for i, one := range batch {
			replies[i] = s.one(r, one, fault)
		}
		_ = json.NewEncoder(w).Encode(replies)
		return
	}
	var one request
	if json.Unmarshal(body, &one) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(s.one(r, one, fault))
}

func (s *Server) one(r *http.Request, one request, fault Fault) reply {
	key := one.Method + string(one.Params)
	s.mu.Lock()
	s.requests[one.Method]++
	script, record := s.scripts[one.Method], s.recorded[key]
	s.mu.Unlock()
	out := reply{Version: "2.0", ID: one.ID}
	switch {
	case fault == Lag && record != nil:
		out.Result = record
	case script != nil:
		result, err := script(one.Params)
		if err != nil {
			out.Error = errorOf(err)
			return out
		}
		out.Result, _ = json.Marshal(result)
	case s.target != "":
		body, _ := json.Marshal(one)
		forward, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.target, bytes.NewReader(body))
		if err == nil {
			forward.Header.Set("Content-Type", "application/json")
			var response *http.Response
			if response, err = http.DefaultClient.Do(forward); err == nil {
				err = json.NewDecoder(response.Body).Decode(&out)
				_ = response.Body.Close()
			}
		}
		if err != nil {
			out.Error, _ = json.Marshal(map[string]any{"code": -32603, "message": "the node behind the test's server failed"})
		}
	default:
		out.Error, _ = json.Marshal(
			map[string]any{"code": -32601, "message": "the method " + one.Method + " is not scripted"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.Error == nil && fault == None && s.fault == None { // else it may be of after it
		s.recorded[key] = out.Result
	}
	return out
}

// errorOf is a JSON-RPC error that says what an error of Go does.
func errorOf(err error) json.RawMessage {
	answer := map[string]any{"code": -32000, "message": err.Error()}
	var coded interface{ ErrorCode() int }
	if errors.As(err, &coded) {
		answer["code"] = coded.ErrorCode()
	}
	var detailed interface{ ErrorData() any }
	if errors.As(err, &detailed) {
		answer["data"] = detailed.ErrorData()
	}
	text, _ := json.Marshal(answer)
	return text
}

// gatedListener makes connections that the faults Down and Hang reach.
type gatedListener struct {
	net.Listener
	s *Server
}

func (l gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		gated := &gatedConn{Conn: c, s: l.s, closed: make(chan struct{})}
		l.s.mu.Lock()
		if l.s.fault == Down {
			l.s.mu.Unlock()
			_ = c.Close()
			continue
		}
		l.s.conns[gated] = struct{}{}
		l.s.mu.Unlock()
		return gated, nil
	}
}

type gatedConn struct {
	net.Conn
	s        *Server
	once     sync.Once
	closed   chan struct{}
	hijacked bool // carries a WebSocket; guarded by s.mu
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
		c.s.mu.Lock()
		c.hijacked = true
		c.s.mu.Unlock()
	}
	for {
		c.s.mu.Lock()
		blocked, changed := c.s.fault == Hang || c.s.fault == Mute && c.hijacked, c.s.changed
		c.s.mu.Unlock()
		if !blocked {
			return c.Conn.Write(b)
		}
		select {
		case <-changed:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
}

func (c *gatedConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.s.mu.Lock()
		delete(c.s.conns, c)
		c.s.mu.Unlock()
	})
	return c.Conn.Close()
}
