package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// start makes a network of two nodes, or skips the test where that is not allowed.
func start(t *testing.T) *Network {
	t.Helper()
	n, err := Start(2, 1)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// listen listens on a node's host.
func (n *Network) listen(t *testing.T, node int, address string) net.Listener {
	t.Helper()
	var listener net.Listener
	err := within(n.Namespace(node), func() (err error) { listener, err = net.Listen("tcp4", address); return err })
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// dial dials from a node's host.
func (n *Network) dial(node int, address string, limit time.Duration) (conn net.Conn, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = within(n.Namespace(node), func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, err
}

// greet serves connections with a greeting each until the listener is closed.
func greet(listener net.Listener, greeting string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, greeting)
		_ = conn.Close()
	}
}

func read(t *testing.T, conn net.Conn, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNetwork sends real connections through real namespaces.
func TestNetwork(t *testing.T) {
	n := start(t)
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	listener := n.listen(t, 1, "0.0.0.0:7000")
	defer listener.Close()
	go greet(listener, "here is node 1")
	old := n.Address(1) + ":7000"
	conn, err := n.dial(0, old, time.Minute)
	if got := read(t, conn, err); got != "here is node 1" {
		t.Errorf("node 0 reads %q of node 1", got)
	}

	split, err := ParseEvent("split 0|1", 2)
	if err != nil {
		t.Fatal(err)
	}
	n.Set([]*Condition{split.Condition})
	if _, err := n.dial(0, old, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) &&
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("node 0 dials node 1 through a split: %v, want no answer in time", err)
	}
	n.Set(nil)
	if err := n.Move(1); err != nil {
		t.Fatal(err)
	}
	if n.Address(1)+":7000" == old {
		t.Error("node 1 moved to where it was")
	}
	conn, err = n.dial(0, n.Address(1)+":7000", time.Minute)
	if got := read(t, conn, err); got != "here is node 1" {
		t.Errorf("node 0 reads %q of node 1 after it moved", got)
	}
	if _, err := n.dial(0, old, 100*time.Millisecond); err == nil {
		t.Error("node 1 is still where it was before it moved")
	}
}

// TestForwards reaches a server of this machine from a node, and one on a node from this machine.
func TestForwards(t *testing.T) {
	n := start(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
	}))
	defer server.Close()
	url, err := n.URL(server.URL + "/price")
	if err != nil {
		t.Fatal(err)
	}
	again, err := n.URL(strings.Replace(server.URL, "http", "ws", 1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/price") != strings.TrimPrefix(again, "ws://") {
		t.Errorf("one server is at %s and at %s", url, again)
	}
	client := &http.Client{
		Transport: &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			return n.dial(0, address, time.Minute)
		}}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(text) != "/price" {
		t.Errorf("the node reads %q, %v", text, err)
	}

	for _, refused := range []string{"https://127.0.0.1:8545", "wss://127.0.0.1:8545", "http://rpc.example"} {
		if _, err := n.URL(refused); err == nil || !strings.Contains(err.Error(), "only http and ws with a port") {
			t.Errorf("%s is forwarded: %v", refused, err)
		}
	}

	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	if err := n.Publish(1, port); err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf("127.0.0.1:%d", port)
	conn, err := net.Dial("tcp4", local)
	if got := read(t, conn, err); got != "" {
		t.Errorf("read %q where nobody listens", got)
	}
	listener := n.listen(t, 1, local)
	go greet(listener, "operators are welcome")
	conn, err = net.Dial("tcp4", local)
	if got := read(t, conn, err); got != "operators are welcome" {
		t.Errorf("read %q from the port that was published", got)
	}
	_ = listener.Close()
	// With a connection still open, whose ends both are the forwarder's.
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
}
