package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/door"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// listenVariable has this binary listen on the socket that it names and answer as a node, until its input ends.
const listenVariable = "LOOP_TEST_LISTEN"

func TestMain(m *testing.M) {
	if socket := os.Getenv(listenVariable); socket != "" {
		l, err := net.Listen("unix", socket)
		if err == nil {
			err = os.Chmod(socket, 0o666)
		}
		if err != nil {
			panic(err)
		}
		go func() { _ = http.Serve(l, new(fakeNode).handler()) }()
		fmt.Println("listens")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

var started = time.Unix(1_700_000_000, 123)

// fakeNode keeps what it is asked.
type fakeNode struct {
	nodev1connect.UnimplementedNodeServiceHandler
	after time.Duration // it has started later than the node that names its socket

	mu    sync.Mutex
	heard []string
}

func (f *fakeNode) NodeStatus(context.Context, *nodev1.NodeStatusRequest) (*nodev1.NodeStatusResponse, error) {
	return &nodev1.NodeStatusResponse{StartedAt: timestamppb.New(started.Add(f.after))}, nil
}

func (f *fakeNode) ImportKey(context.Context, *nodev1.ImportKeyRequest) (*nodev1.ImportKeyResponse, error) {
	return &nodev1.ImportKeyResponse{}, nil
}

func (f *fakeNode) handler() http.Handler {
	path, api := nodev1connect.NewNodeServiceHandler(f)
	return f.hears(path, api)
}

// hears keeps each request's method, and whatever could be a secret in it.
func (f *fakeNode) hears(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		said := strings.TrimPrefix(r.URL.Path, path)
		if r.Header.Get("Authorization") != "" {
			said += " with a token"
		}
		if bytes.Contains(body, []byte("hunter2")) {
			said += " with the password"
		}
		f.mu.Lock()
		f.heard = append(f.heard, said)
		f.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err == nil {
			next.ServeHTTP(w, r)
		}
	})
}

func (f *fakeNode) serve(t *testing.T, l net.Listener) {
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: f.handler()}}
	server.Start()
	t.Cleanup(server.Close)
}

// wants has the fake stand behind a door that names a socket.
func (f *fakeNode) wants(t *testing.T, socket string) (url string) {
	t.Helper()
	wanted := &nodev1.TokenWanted{Socket: socket, StartedAt: timestamppb.New(started)}
	guard := door.New(noTokens{}, wanted, slog.New(slog.DiscardHandler))
	path, api := nodev1connect.NewNodeServiceHandler(f)
	server := httptest.NewServer(f.hears(path, guard.Guard(api)))
	t.Cleanup(server.Close)
	return server.URL
}

type noTokens struct{}

func (noTokens) Token(context.Context, []byte) (database.Token, error) {
	return database.Token{}, database.ErrNotFound
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shortDir is a folder for sockets: a test's own is too deep for one.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "loop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// importKey sends a node a request that carries a secret. The environment is pairs of a name and a value.
func importKey(t *testing.T, environment ...string) error {
	t.Helper()
	c := &command{}
	for pair := range slices.Chunk(environment, 2) {
		c.target.environ = append(c.target.environ, pair[0]+"="+pair[1])
	}
	_, err := call(t.Context(), c, api.ImportKey, &nodev1.ImportKeyRequest{Password: "hunter2"})
	return err
}

// A caller without a token is led to the node's socket, and the address gets only an empty request.
func TestTheNodesOwnSocketIsUsed(t *testing.T) {
	t.Parallel()
	onlyLinux(t)
	socket := filepath.Join(shortDir(t), "s")
	var address, node fakeNode
	node.serve(t, listen(t, socket))
	if err := importKey(t, "LOOP_NODE_URL", address.wants(t, socket)); err != nil {
		t.Fatal(err)
	}
	wantHeard(t, "the address", &address, "NodeStatus")
	wantHeard(t, "the socket", &node, "NodeStatus", "ImportKey with the password")
}

// What an address names may be anything: whoever holds a port can answer on it.
func TestSocketsThatAreNotTheNodes(t *testing.T) {
	t.Parallel()
	onlyLinux(t)
	dir := shortDir(t)
	other := filepath.Join(dir, "other")
	another := &fakeNode{after: time.Nanosecond}
	another.serve(t, listen(t, other))
	abstract := "@" + filepath.Join(dir, "abstract")
	hidden := new(fakeNode)
	hidden.serve(t, listen(t, abstract))
	for name, c := range map[string]struct{ socket, says string }{
		"another node's":         {other, "another node answers there"},
		"none":                   {"", "not an absolute path"},
		"a path from elsewhere":  {"s", "not an absolute path"},
		"one without a file":     {abstract, "not an absolute path"},
		"one that is not there":  {filepath.Join(dir, "nothing"), "no such file"},
		"one that is no socket":  {dir, "connection refused"},
		"escapes for a terminal": {dir + "\x1b[2J", `\x1b[2J" is not used instead: connect: no such file`},
	} {
		var address fakeNode
		err := importKey(t, "LOOP_NODE_URL", address.wants(t, c.socket))
		if exitCode(err) != ExitFailed || !strings.HasPrefix(fmt.Sprint(err), "the API wants a token; ") ||
			!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %d %v, want %s", name, exitCode(err), err, c.says)
		}
		wantHeard(t, name+": the address", &address, "NodeStatus")
	}
	wantHeard(t, "another node", another, "NodeStatus")
	wantHeard(t, "the abstract socket", hidden)
}

// stranger is a user who has nothing to do with the node.
const stranger = 54321

// A program of another user that holds the node's port names a socket of its own, and hears nothing there.
func TestSocketOfAnotherUser(t *testing.T) {
	t.Parallel()
	onlyLinux(t)
	if os.Geteuid() != 0 {
		t.Skip("only root starts processes of other users")
	}
	socket := strangersSocket(t)
	var address fakeNode
	err := importKey(t, "LOOP_NODE_URL", address.wants(t, socket))
	want := fmt.Sprintf("user %d listens on it, who is neither this user nor root", stranger)
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	wantHeard(t, "the address", &address, "NodeStatus")
	if err := importKey(t, "LOOP_NODE_SOCKET", socket); err != nil {
		t.Errorf("the socket that the user has named is not used: %v", err)
	}
}

// strangersSocket is one on which a process of another user listens.
func strangersSocket(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	copied, socket := filepath.Join(dir, "listen"), filepath.Join(dir, "s")
	if err := executable.Write(copied, program, 0o755); err != nil { // where the other user reaches it
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, []string{listenVariable + "=" + socket}, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), cmd.Wait()) })
	if _, err := io.ReadFull(out, make([]byte, len("listens"))); err != nil {
		t.Fatal(err)
	}
	return socket
}

// A token is for the address that it was named with: the socket is never tried with it, nor in its place.
func TestTokensStayWhereTheyAreSent(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "s")
	var address, node fakeNode
	node.serve(t, listen(t, socket))
	err := importKey(t, "LOOP_NODE_URL", address.wants(t, socket), "LOOP_NODE_TOKEN", "loop_"+strings.Repeat("0", 64))
	if exitCode(err) != ExitFailed || !strings.HasPrefix(fmt.Sprint(err), "the node does not know this token; ") {
		t.Errorf("a token that the node does not know: %v", err)
	}
	wantHeard(t, "the address", &address, "ImportKey with a token with the password")
	wantHeard(t, "the socket", &node)
}

func wantHeard(t *testing.T, who string, f *fakeNode, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.heard, want) {
		t.Errorf("%s heard %q, want %q", who, f.heard, want)
	}
}

func onlyLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("who listens on a socket is told by Linux alone")
	}
}
