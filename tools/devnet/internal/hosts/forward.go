package hosts

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds how long a forwarded connection may take to come about: all that is dialled is on this machine.
const dialTimeout = 5 * time.Second

// forwarder gives the connections of a listener to somebody in another namespace.
type forwarder struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func forward(listener net.Listener, dial func(context.Context) (net.Conn, error)) *forwarder {
	f := &forwarder{listener: listener, dial: dial, open: map[net.Conn]bool{}}
	f.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // closed
			}
			f.running.Go(func() { f.serve(near) })
		}
	})
	return f
}

// close ends the listener and all of its connections.
func (f *forwarder) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for conn := range f.open {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// keep notes a connection that close has to end; false: it is too late.
func (f *forwarder) keep(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.open[conn] = true
	}
	return !f.closed
}

func (f *forwarder) end(conn net.Conn) {
	f.mu.Lock()
	delete(f.open, conn)
	f.mu.Unlock()
	_ = conn.Close()
}

// serve copies both ways until one of them is over.
func (f *forwarder) serve(near net.Conn) {
	defer f.end(near)
	if !f.keep(near) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	far, err := f.dial(ctx)
	if err != nil {
		return // whoever connected sees that nobody is there
	}
	defer f.end(far)
	if !f.keep(far) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far)
		_ = near.Close() // ends the other way
	})
	_, _ = io.Copy(far, near)
	_ = far.Close()
	back.Wait()
}
