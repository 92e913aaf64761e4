package loophost

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// socket is one on which a plugin calls back, with what the plugin shows there.
type socket struct {
	path    string
	plugin  *tls.Config
	callers *callers
	log     *bytes.Buffer
}

func newSocket(t *testing.T) *socket {
	t.Helper()
	host, plugin := keyPair(t), keyPair(t)
	server, err := wire.ServerTLS(host.TLS, plugin.CertificatePEM)
	if err != nil {
		t.Fatal(err)
	}
	client, err := wire.ClientTLS(plugin.TLS, host.CertificatePEM)
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{path: filepath.Join(t.TempDir(), "s"), plugin: client, log: &bytes.Buffer{}}
	listener, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	s.callers = &callers{Listener: listener, logger: logger}
	framed := frames.NewServer(logger)
	served := grpc.NewServer(append(limits(), grpc.Creds(admitting{frames.Credentials(server, framed)}))...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := served.Serve(s.callers); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		served.Stop()
		framed.Stop()
		<-done
	})
	return s
}

func keyPair(t *testing.T) *wire.KeyPair {
	t.Helper()
	pair, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// connect is a connection that says nothing.
func (s *socket) connect(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// holds waits until the host has so many connections of the plugin.
func (s *socket) holds(t *testing.T, number int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // the end of a connection is no event here
		s.callers.mu.Lock()
		known := s.callers.known
		s.callers.mu.Unlock()
		if known == number {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the host has %d connections of the plugin, want %d", known, number)
		}
	}
}

// ended waits for the end of a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	_, err := c.Read(make([]byte, 1))
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection does not end but gives %v", err)
	}
}

// A caller who cannot shake hands does not occupy a descriptor of the host for long, and keeps no plugin away.
func TestStrangersAtACallbackSocket(t *testing.T) {
	t.Parallel()
	s := newSocket(t)
	ends, begin := make(chan struct{}), time.Now()
	for range 3 * frames.MaxStrangers {
		c := s.connect(t)
		go func() {
			ended(t, c)
			ends <- struct{}{}
		}()
	}
	for range 2 * frames.MaxStrangers { // which of them are the oldest is known to the host alone
		<-ends
	}
	if took := time.Since(begin); took > frames.MaxHandshake-time.Second {
		t.Errorf("the oldest made no room for others; enough of them had ended after %s", took)
	}
	mine, err := frames.Dial(t.Context(), "unix", s.path, s.plugin)
	if err != nil {
		t.Fatalf("the plugin is kept away: %v", err)
	}
	defer mine.Close()
	for range frames.MaxStrangers {
		<-ends
	}
}

// A plugin has so many connections and no more, and another in the place of one that has ended.
func TestConnectionsOfAPlugin(t *testing.T) {
	t.Parallel()
	s := newSocket(t)
	var mine []net.Conn
	for range maxCallers {
		c, err := frames.Dial(t.Context(), "unix", s.path, s.plugin)
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, c)
	}
	s.holds(t, maxCallers) // its end of a handshake comes after the plugin's
	defer func() {
		for _, c := range mine {
			_ = c.Close()
		}
	}()
	for range 2 {
		if c, err := frames.Dial(t.Context(), "unix", s.path, s.plugin); err == nil { // its end of the handshake is done
			ended(t, c)
			_ = c.Close()
		}
	}
	_ = mine[0].Close()
	s.holds(t, maxCallers-1)
	c, err := frames.Dial(t.Context(), "unix", s.path, s.plugin)
	if err != nil {
		t.Fatal(err)
	}
	mine[0] = c
	s.holds(t, maxCallers)
	if n := strings.Count(s.log.String(), "too many connections"); n != 1 {
		t.Errorf("it is told %d times: %s", n, s.log)
	}
}
