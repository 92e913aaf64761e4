package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Peer is the process at the other end of a unix socket, according to the kernel. If the kernel does not tell, both
// numbers are -1 and the socket's mode is the only guard.
type Peer struct {
	UID, PID int
	// Refusal returns why the peer may not call the API; empty if it may.
	Refusal string
}

type peerKey struct{}

// PeerOf returns who sends a request; false if it came by TCP.
func PeerOf(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// withPeer tells the requests of a connection who sends them.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

// longestSocket is the longest path of a socket, in bytes. Linux takes 107, and other systems 103.
const longestSocket = 103

// listenSocket listens on a socket that only the node's own user may use. It removes a socket that a node left when it
// ended, but neither a socket on which somebody answers nor a file of another kind.
func listenSocket(path string) (net.Listener, error) {
	const hint = "name another by [WebServer] Socket"
	if len(path) > longestSocket {
		return nil, fmt.Errorf("the path %s is too long for a socket: it has %d bytes of at most %d; %s",
			path, len(path), longestSocket, hint)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the operators' socket failed: %w; %s", err, hint)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("looking at the operators' socket failed: %w; %s", err, hint)
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is not a socket; remove it, or %s", path, hint)
	default:
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close() // it was only to see whether somebody answers
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("another node may answer on the socket %s; end it, or %s", path, hint)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the socket of a node that has ended failed: %w; %s", err, hint)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on the operators' socket failed: %w; %s", err, hint)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // the error that counts is the other
		return nil, fmt.Errorf("closing the operators' socket to others failed: %w; %s", err, hint)
	}
	return l, nil
}
