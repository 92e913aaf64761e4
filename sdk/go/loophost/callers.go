package loophost

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// The limits of a socket on which a plugin's process calls back, besides those of package frames on connections that
// have not shaken hands. Each connection is a descriptor of the host's, which has one supply for all.
const (
	// maxCallers is how many connections the process may have: an SDK has one for frames and one for gRPC, and for a
	// moment both twice.
	maxCallers = 8
	// maxCallbacks is how many calls over gRPC one connection may have unanswered. More wait at their caller.
	maxCallbacks = 256
	// maxMetadata is how many bytes the metadata of a call over gRPC may have, each pair counted with 32 more (RFC 9113).
	maxMetadata = 16 << 10
)

// limits are the options of a gRPC server on which a plugin calls back.
func limits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ConnectionTimeout(frames.MaxHandshake), grpc.MaxConcurrentStreams(maxCallbacks),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes),
	}
}

// callers are the connections of a socket on which a plugin calls back.
type callers struct {
	net.Listener
	logger *slog.Logger

	strangers frames.Strangers

	mu    sync.Mutex
	known int // those that have shaken hands
	told  bool
}

// caller is one connection.
type caller struct {
	net.Conn
	all   *callers
	known bool // it has shaken hands
	gone  bool
}

var _ syscall.Conn = (*caller)(nil) // frames would have slower system calls otherwise

// Accept implements net.Listener. It bounds the strangers itself: those whose handshake has yet to begin, which package
// frames does not see, hold descriptors too, and a flood is accepted faster than handshakes begin.
func (c *callers) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	made := &caller{Conn: conn, all: c}
	c.strangers.Enter(made)
	return made, nil
}

// admit counts a connection as the plugin's, or says why the plugin may not have it.
func (c *callers) admit(made *caller) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known >= maxCallers {
		if !c.told {
			c.told = true
			c.logger.Warn("the plugin has too many connections to its host; more are refused", "limit", maxCallers)
		}
		return fmt.Errorf("the plugin has %d connections to its host, which is the most", c.known)
	}
	if made.gone {
		return net.ErrClosed
	}
	c.strangers.Leave(made)
	c.known++
	made.known = true
	return nil
}

// SyscallConn implements syscall.Conn, as the connection itself does.
func (c *caller) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn() // the connection is one of a socket
}

// Close implements net.Conn.
func (c *caller) Close() error {
	c.all.mu.Lock()
	if !c.gone {
		c.gone = true
		if c.known {
			c.all.known--
		} else {
			c.all.strangers.Leave(c)
		}
	}
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// admitting are credentials that report to callers which connections have shaken hands.
type admitting struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (a admitting) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := a.TransportCredentials.ServerHandshake(raw)
	dispatched := errors.Is(err, credentials.ErrConnDispatched)
	if made, ok := raw.(*caller); ok && (err == nil || dispatched) {
		if refused := made.all.admit(made); refused != nil {
			_ = raw.Close() // the refusal says why
			if dispatched { // and whoever has taken it over sees its end
				return nil, nil, err
			}
			return nil, nil, refused
		}
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (a admitting) Clone() credentials.TransportCredentials {
	return admitting{a.TransportCredentials.Clone()}
}
