package web

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes are a listener whose connections lie in memory, so that time is that of a test's bubble.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// served is a handler behind all limits, on connections in memory.
func served(t *testing.T, handler http.HandlerFunc) (dial func() net.Conn) {
	t.Helper()
	s := &Server{settings: Settings{Logger: slog.New(slog.DiscardHandler)}}
	l := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	s.serve(l, &http.Server{Handler: handler})
	t.Cleanup(func() { s.Close(t.Context()) })
	return func() net.Conn {
		near, far := net.Pipe()
		l.accepted <- far
		t.Cleanup(func() { _ = near.Close() })
		return near
	}
}

// readAll is what a server sends until it ends a connection, and after how long.
func readAll(t *testing.T, c net.Conn) (string, time.Duration) {
	t.Helper()
	began := time.Now()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), time.Since(began)
}

// A client that sends slowly is cut off: in a header, in a body, and in a body that nobody wants.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, err)
	}
	ignore := func(http.ResponseWriter, *http.Request) {}
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
	for name, c := range map[string]struct {
		handler    http.HandlerFunc
		sent, says string
		within     time.Duration
	}{
		"nothing":              {read, "", "", readHeaderTimeout},
		"half a header":        {read, head[:20], "", readHeaderTimeout},
		"half a body":          {read, head + "half", "i/o timeout", readTimeout},
		"a body for a refusal": {ignore, head + "half", "200 OK", readTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := served(t, c.handler)()
				if _, err := io.WriteString(conn, c.sent); err != nil {
					t.Fatal(err)
				}
				said, after := readAll(t, conn)
				if !strings.Contains(said, c.says) || after > c.within+time.Second {
					t.Errorf("after %s: %q", after, said)
				}
			})
		})
	}
}

// A call whose body has come may take longer than a body may.
func TestLongCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := served(t, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the call was ended")
			case <-time.After(2 * readTimeout):
			}
			_, _ = io.WriteString(w, "at last")
		})
		conn := dial()
		if _, err := io.WriteString(conn,
			"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"); err != nil {
			t.Fatal(err)
		}
		if said, _ := readAll(t, conn); !strings.HasSuffix(said, "at last") {
			t.Errorf("the answer is %q", said)
		}
	})
}

// An answer that nobody reads ends too.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		dial := served(t, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			ended <- err
		})
		if _, err := io.WriteString(dial(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) > answerTimeout+time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// held is an API whose calls take until finish is closed.
type held struct{ began, finish chan struct{} }

func (h held) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.began <- struct{}{}
	<-h.finish
	_, _ = io.WriteString(w, "the api")
}

// Idle connections make room for new ones, and those with a request in progress do not.
func TestConnections(t *testing.T) {
	t.Parallel()
	h := held{make(chan struct{}), make(chan struct{})}
	socket := filepath.Join(shortDir(t), "s")
	start(t, func(s *Settings) { s.Socket, s.API = socket, h })
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	call := func(c net.Conn) net.Conn {
		t.Helper()
		if _, err := io.WriteString(c, "GET /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-h.began
		return c
	}
	first := call(dial())
	idle := dial()
	for range maxCallerConnections - 1 { // the first of them fills the room, and the last takes that of the idle one
		call(dial())
	}
	if b, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("the idle connection was not closed: %d, %v", b, err)
	}
	said, _ := readAll(t, dial())
	if !strings.HasPrefix(said, "HTTP/1.1 503 ") ||
		!strings.Contains(said, "64 connections of this caller have a request in progress") {
		t.Errorf("one too many was told %q", said)
	}
	close(h.finish)
	if said, _ := readAll(t, first); !strings.HasSuffix(said, "the api") {
		t.Errorf("the first call was answered %q", said)
	}
}

// Among callers the one with the most connections makes room, so that one of many addresses does not keep out the
// others.
func TestConnectionsOfAll(t *testing.T) {
	t.Parallel()
	s := limited(nil)
	admit := func(caller string) *connection {
		_, far := net.Pipe()
		c := &connection{Conn: far, caller: caller}
		if refusal := s.admit(c); refusal != "" {
			t.Fatal(refusal)
		}
		return c
	}
	modest := admit("modest")
	for range maxCallerConnections + 10 { // the last of them take the places of the first
		admit("greedy")
	}
	for range maxConnections - maxCallerConnections - 1 {
		admit("keen")
	}
	admit("late")
	of := map[string]int{}
	for _, c := range s.open {
		of[c.caller]++
	}
	if of["modest"] != 1 || of["late"] != 1 || of["greedy"] != maxCallerConnections-1 || len(s.open) != maxConnections {
		t.Errorf("there are %v", of)
	}
	for _, c := range s.open {
		c.running = 1
	}
	if refusal := s.admit(&connection{caller: "last"}); !strings.HasPrefix(refusal,
		"128 connections have a request in progress") {
		t.Errorf("one too many is told %q", refusal)
	}
	modest.running = 0
	if refusal := s.admit(&connection{Conn: modest.Conn, caller: "last"}); refusal != "" {
		t.Errorf("when one is idle again: %s", refusal)
	}
}

// The open endpoints have a bound of their own, and the API goes on.
func TestScrapesAtOnce(t *testing.T) {
	t.Parallel()
	asked, finish := make(chan string), make(chan string)
	s := start(t, func(s *Settings) { s.Plugins = fakePlugins{asked, finish} })
	var all sync.WaitGroup
	for range maxOpen {
		all.Go(func() {
			response := request(t, http.DefaultClient, "GET", "http://"+s.Address()+"/plugins/slow/metrics", "")
			if response.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("a scrape that was let in: %d", response.StatusCode)
			}
		})
		<-asked
	}
	response := request(t, http.DefaultClient, "GET", "http://"+s.Address()+"/metrics", "")
	if said := body(t, response); response.StatusCode != 503 || !strings.Contains(said, "16 requests are in progress") {
		t.Errorf("one too many is told %d %q", response.StatusCode, said)
	}
	if response := request(t, http.DefaultClient, "GET", "http://"+s.Address()+"/api/x", ""); response.StatusCode != 200 {
		t.Errorf("the API answers %d", response.StatusCode)
	}
	close(finish)
	all.Wait()
}

// One connection by HTTP/2 has so many streams and no more: the server says it in its first frame.
func TestStreams(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	pool := makeCertificate(t, files, "feeds.example")
	s := start(t, func(s *Settings) {
		s.TLS = &TLS{"127.0.0.1:0", filepath.Join(files, "cert"), filepath.Join(files, "key")}
	})
	c, err := tls.Dial("tcp", s.TLSAddress(),
		&tls.Config{RootCAs: pool, ServerName: "feeds.example", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// What a client says first, and its settings, of which there are none.
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 9)
	if _, err := io.ReadFull(c, header); err != nil || header[3] != 4 {
		t.Fatalf("the first frame is %x, %v", header, err)
	}
	settings := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
	if _, err := io.ReadFull(c, settings); err != nil {
		t.Fatal(err)
	}
	said := map[uint16]uint32{}
	for at := range slices.Chunk(settings, 6) {
		said[binary.BigEndian.Uint16(at)] = binary.BigEndian.Uint32(at[2:])
	}
	const concurrentStreams, initialWindow = 3, 4 // RFC 9113, 6.5.2
	if said[concurrentStreams] != maxStreams || said[initialWindow] != maxBuffered {
		t.Errorf("the settings are %v", said)
	}
}
