package endpoint

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// secret is a part of addresses in tests.
const secret = "geheim"

// dial connects to a node that has only this address.
func dial(t *testing.T, server *httptest.Server, scheme string) (*Driver, *Client, error) {
	t.Helper()
	url := scheme + "://user:" + secret + "@" + server.Listener.Addr().String() + "/" + secret
	settings := Settings{WSURL: url, ChainID: big.NewInt(1), PollInterval: time.Second, Timeout: time.Minute,
		Contracts: &Contracts{}}
	if scheme == "http" {
		settings.WSURL, settings.HTTPURL = "", url
	}
	d := NewDriver(settings)
	c, err := d.Connect(t.Context())
	return d, c, err
}

// isLimit reports whether an error is marked by relayer.Throttled.
func isLimit(err error) bool {
	mark := fmt.Sprintf("%T", relayer.Throttled(nil, 0))
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == mark {
			return true
		}
	}
	return false
}

// TestRefusedHandshakes checks that a status by which a server refuses a WebSocket says the same of the node as over
// HTTP.
func TestRefusedHandshakes(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 402, 403, 404, 429, 500, 502, 503} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
		}))
		defer server.Close()
		_, _, fault := dial(t, server, "ws")
		_, _, want := dial(t, server, "http")
		var got relayer.StatusCode
		if !errors.As(fault, &got) || int(got) != status || relayer.Reason(fault) != relayer.Reason(want) {
			t.Errorf("status %d: %q over WebSocket, %q over HTTP", status, relayer.Reason(fault), relayer.Reason(want))
		}
		if limit := status == 402 || status == 429; isLimit(fault) != limit || isLimit(want) != limit {
			t.Errorf("status %d: a limit %t over WebSocket, %t over HTTP", status, isLimit(fault), isLimit(want))
		}
	}
}

// TestHandshakeSecrets checks that neither the address nor the text that a server writes beside its status gets into
// the reason, and that such a text cannot stand for the status.
func TestHandshakeSecrets(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"403 (HTTP status 429 " + secret + ")": "answers with HTTP status 403",
		"429 " + secret:                        "answers with HTTP status 429: it limits the rate of requests",
		"404":                                  "answers with HTTP status 404",
		"200 OK":                               "answers with HTTP status 200 and opens no WebSocket",
		secret:                                 "cannot be reached: the connection failed",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer connection.Close()
			_, _ = io.WriteString(connection, "HTTP/1.1 "+line+"\r\nContent-Length: 0\r\n\r\n")
		}))
		defer server.Close()
		_, _, err := dial(t, server, "ws")
		if err == nil || relayer.Reason(err) != want {
			t.Errorf("%s: %q, want %q", line, relayer.Reason(err), want)
		}
	}
}

// TestHandshakeAfterALoss checks that a call at a node which does not let the client in again after a lost connection
// says so.
func TestHandshakeAfterALoss(t *testing.T) {
	t.Parallel()
	var shut atomic.Bool
	node := rpc.NewServer()
	defer node.Stop()
	if err := node.RegisterName("eth", &fakeNode{height: 100, chain: "0x1"}); err != nil {
		t.Fatal(err)
	}
	open := node.WebsocketHandler([]string{"*"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if shut.Load() {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		open.ServeHTTP(w, r)
	}))
	defer server.Close()
	d, c, err := dial(t, server, "ws")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Disconnect(c)
	shut.Store(true)
	node.Stop() // ends the connection
	var reason string
	for deadline := time.Now().Add(time.Minute); !strings.Contains(reason, "429"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: %q", reason)
		}
		reason = relayer.Reason(c.Call(t.Context(), new(string), "eth_chainId"))
	}
}
