package cost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Counter stands in front of a JSON-RPC server and counts the calls to it.
type Counter struct {
	// URL is where it serves.
	URL    string
	server *http.Server
	served chan error

	mu    sync.Mutex
	calls map[string]int
	posts int
}

// Calls are the counted calls. Posts are requests, each of which may hold many calls.
type Calls struct {
	Posts    int
	ByMethod map[string]int
}

// Count serves on a free port of 127.0.0.1 what a server does at a URL.
func Count(target string) (*Counter, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("count calls on 127.0.0.1: %w", err)
	}
	c := &Counter{URL: "http://" + listener.Addr().String(), served: make(chan error, 1), calls: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 128},
		// A node that hangs up, as it does when it ends, is no news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	c.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			c.note(body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		})}
	go func() { c.served <- c.server.Serve(listener) }()
	return c, nil
}

func (c *Counter) note(body []byte) {
	type call struct {
		Method string `json:"method"`
	}
	var many []call
	if json.Unmarshal(body, &many) != nil {
		var one call
		_ = json.Unmarshal(body, &one) // what is neither is the server's to refuse
		many = []call{one}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts++
	for _, one := range many {
		c.calls[one.Method]++
	}
}

// Sum returns the count so far.
func (c *Counter) Sum() Calls {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := Calls{Posts: c.posts, ByMethod: map[string]int{}}
	for method, n := range c.calls {
		sum.ByMethod[method] = n
	}
	return sum
}

// Close ends the counter, waiting a second at most for answers under way.
func (c *Counter) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close() // what did not end in time is cut off
	}
	if err := <-c.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("count calls: %w", err)
	}
	return nil
}
