package web

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

func TestPeer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("peers are told by Linux alone")
	}
	socket := filepath.Join(shortDir(t), "s")
	s := start(t, func(s *Settings) { s.Socket, s.API = socket, http.HandlerFunc(sayPeer) })
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket's mode is %s", info.Mode())
	}
	want := fmt.Sprintf("socket true, uid %d, pid %d, refusal \"\"", os.Geteuid(), os.Getpid())
	if got := body(t, request(t, overSocket(socket), "GET", "http://node/api/x", "")); got != want {
		t.Errorf("by the socket: %q, want %q", got, want)
	}
	got := body(t, request(t, http.DefaultClient, "GET", "http://"+s.Address()+"/api/x", ""))
	if !strings.HasPrefix(got, "socket false") {
		t.Errorf("by TCP: %q", got)
	}
}

// A caller that is refused before its request is whole can send the rest and read why.
func TestAnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	socket, answered := filepath.Join(shortDir(t), "s"), make(chan struct{})
	start(t, func(s *Settings) {
		s.Socket = socket
		s.API = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not you", http.StatusForbidden)
			answered <- struct{}{}
		})
	})
	for range 100 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c,
			"POST /api/x HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-answered
		if _, err := io.WriteString(c, "body"); err != nil {
			t.Fatalf("the rest of the request: %v", err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(got), "not you") {
			t.Fatalf("the answer is %q, %v", got, err)
		}
	}
}

// stranger is the user of a process that has nothing to do with the node.
const stranger = 54321

// Another user does not reach the socket. If the socket's mode was changed, the kernel tells who that user is.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("only root on Linux starts processes of other users")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ask") // where the other user reaches it
	copyFile(t, os.Args[0], program)
	socket := filepath.Join(dir, "s")
	start(t, func(s *Settings) { s.Socket, s.API = socket, http.HandlerFunc(sayPeer) })
	ask := func() string {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Dir, cmd.Env = dir, []string{askVariable + "=" + socket}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := ask(); !strings.Contains(got, "permission denied") {
		t.Errorf("with the socket's own mode: %q", got)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`refusal "this socket is for the node's own user and root, not for user %d"`, stranger)
	if got := ask(); !strings.HasSuffix(got, want) {
		t.Errorf("with a mode for all: %q, want %s", got, want)
	}
}

// What the node started is refused, though it runs as the node's user: a plugin, and what a plugin has started.
func TestChildrenOfTheNode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("peers are told by Linux alone")
	}
	socket := filepath.Join(shortDir(t), "s")
	start(t, func(s *Settings) { s.Socket, s.API = socket, http.HandlerFunc(sayPeer) })
	for _, command := range [][]string{{os.Args[0]}, {"/bin/sh", "-c", `"$0"; true`, os.Args[0]}} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = []string{askVariable + "=" + socket}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), `comes of the node, as plugins do, and they do not administer it"`) {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := executable.Write(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// It runs beside no other test: a process that another test starts has a copy of the socket until its program begins,
// and answers on it.
func TestSocketsOfOthers(t *testing.T) {
	dir := shortDir(t)
	listen := func(path string) error {
		s, err := Start(Settings{
			Address: "127.0.0.1:0", Socket: path, Logger: slog.New(slog.DiscardHandler),
			APIPath: "/api/", API: http.NotFoundHandler(),
		})
		if err == nil {
			s.Close(t.Context())
		}
		return err
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("x", longestSocket))
	answered := filepath.Join(dir, "answered")
	other, err := net.Listen("unix", answered)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for path, want := range map[string]string{
		file: "is not a socket", long: "too long for a socket", answered: "another node may answer",
		filepath.Join(file, "s"): "not a directory",
	} {
		if err := listen(path); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "[WebServer] Socket") {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "kept" {
		t.Errorf("a file that was there: %q, %v", kept, err)
	}

	left := filepath.Join(dir, "left")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	if err := listen(left); err != nil {
		t.Errorf("a socket that a node left: %v", err)
	}
	if _, err := os.Lstat(left); !os.IsNotExist(err) {
		t.Errorf("the socket outlives the server: %v", err)
	}
}
