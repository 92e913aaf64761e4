package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// listener serves a handler on a port of 127.0.0.1 that it keeps while it is closed.
type listener struct {
	handler http.Handler
	address string
	server  *http.Server
	done    sync.WaitGroup
}

func (l *listener) open() error {
	address := l.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve JSON-RPC on %s: %w", address, err)
	}
	if l.address == "" {
		l.address = socket.Addr().String()
	}
	l.server = &http.Server{Handler: l.handler, ReadHeaderTimeout: 10 * time.Second}
	server := l.server
	l.done.Go(func() { _ = server.Serve(socket) }) // ends when it is closed
	return nil
}

// close cuts all connections.
func (l *listener) close() error {
	if l.server == nil {
		return nil
	}
	err := l.server.Close()
	l.server = nil
	l.done.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stop serving JSON-RPC on %s: %w", l.address, err)
	}
	return nil
}

func (l *listener) url() string { return "http://" + l.address }
