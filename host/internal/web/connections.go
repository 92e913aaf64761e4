package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/peer"
)

// The most connections of a listener, of one caller and in all. On a loopback address all of this machine are one
// caller.
const (
	maxConnections       = 128
	maxCallerConnections = 64
)

// connections are those of one listener. At a limit, a new connection takes the place of the one that has been idle
// longest, so that nobody keeps others out by holding connections. If none is idle, the new one is refused.
type connections struct {
	net.Listener
	mu   sync.Mutex
	open []*connection // the longest idle first
}

// connection is one that is open.
type connection struct {
	net.Conn
	caller  string
	running int // requests in progress
}

func limited(l net.Listener) *connections { return &connections{Listener: l} }

// Accept implements net.Listener.
func (s *connections) Accept() (net.Conn, error) {
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if refusal := s.admit(&connection{Conn: c, caller: callerOf(c)}); refusal == "" {
			return c, nil
		} else {
			refuse(c, refusal)
		}
	}
}

// admit counts a connection, and closes an idle one for it if necessary, or says why not.
func (s *connections) admit(c *connection) (refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := map[string]int{}
	for _, o := range s.open {
		of[o.caller]++
	}
	if of[c.caller] >= maxCallerConnections {
		if !s.evictLocked(func(o *connection) bool { return o.caller == c.caller }) {
			return fmt.Sprintf("%d connections of this caller have a request in progress, which is the most",
				maxCallerConnections)
		}
	} else if len(s.open) >= maxConnections {
		most := 0
		for _, n := range of {
			most = max(most, n)
		}
		if !s.evictLocked(func(o *connection) bool { return of[o.caller] == most }) && !s.evictLocked(nil) {
			return fmt.Sprintf("%d connections have a request in progress, which is the most", maxConnections)
		}
	}
	s.open = append(s.open, c)
	return ""
}

// evictLocked closes the connection that has been idle longest, of some or, if nil, of all.
func (s *connections) evictLocked(of func(*connection) bool) bool {
	at := slices.IndexFunc(s.open, func(o *connection) bool { return o.running == 0 && (of == nil || of(o)) })
	if at < 0 {
		return false
	}
	_ = socketOf(s.open[at].Conn).Close() // whoever reads from it sees the end
	s.open = slices.Delete(s.open, at, at+1)
	return true
}

// socketOf is the socket below a TLS connection: closing it waits for nobody.
func socketOf(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// refuse tells why, where the caller reads HTTP.
func refuse(c net.Conn, why string) {
	if _, private := c.(*tls.Conn); !private {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // what is new has room for it at once
		_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n", len(why)+1, why)
	}
	_ = socketOf(c).Close() // it was not let in
}

// callerOf is who has a connection: a user by the socket, an address by IPv4, a network of 64 bits by IPv6.
func callerOf(c net.Conn) string {
	if who, err := peer.Of(c); err == nil {
		return fmt.Sprintf("user %d", who.UID)
	}
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	address := at.Addr().Unmap()
	if address.Is6() {
		network, _ := address.Prefix(64) // 64 bits fit
		return network.String()
	}
	return address.String()
}

type connectionKey struct{}

// watch has a server tell of its connections and its requests.
func (s *connections) watch(server *http.Server) {
	known := server.ConnContext
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if known != nil {
			ctx = known(ctx, c)
		}
		return context.WithValue(ctx, connectionKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.open = slices.DeleteFunc(s.open, func(o *connection) bool { return o.Conn == c })
		}
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connectionKey{}).(net.Conn)
		func() {
			s.request(c, 1)
			defer s.request(c, -1)
			next.ServeHTTP(w, r)
		}()
		drain(r)
	})
}

// drain reads the rest of a request that was answered unread, so that its caller can read the answer: if the connection
// ended, the caller's write would fail, and the caller would give up. net/http does this if the connection stays open.
// The connection counts as idle meanwhile, so that a slow sender keeps nobody out.
func drain(r *http.Request) {
	if r.Close && r.Header.Get("Expect") == "" { // who expects an answer before the body sends none
		_, _ = io.CopyN(io.Discard, r.Body, maxBuffered) // as far as it comes
	}
}

// request counts the beginning or the end of a connection's request. After an end, the connection is the one that has
// been idle for the shortest time.
func (s *connections) request(of net.Conn, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.open, func(o *connection) bool { return o.Conn == of })
	if at < 0 {
		return // it has just been closed
	}
	c := s.open[at]
	c.running += by
	if c.running == 0 {
		s.open = append(slices.Delete(s.open, at, at+1), c)
	}
}
