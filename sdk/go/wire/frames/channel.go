package frames

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// dialTimeout bounds the making of a connection; callers keep their own deadlines.
const dialTimeout = 10 * time.Second

// Rest is a gRPC connection.
type Rest interface {
	grpc.ClientConnInterface
	io.Closer
}

// Over returns a channel beside a gRPC connection to the same address, a gRPC target, and takes the connection over. If
// the address is not a unix socket, all calls stay with gRPC.
func Over(rest Rest, target string, config *tls.Config) *Channel {
	path, ok := strings.CutPrefix(target, "unix:")
	return NewChannel(rest, func(ctx context.Context) (net.Conn, error) {
		if !ok {
			return nil, ErrNone
		}
		return Dial(ctx, "unix", strings.TrimPrefix(path, "//"), config)
	})
}

// Channel is a connection to a peer that has gRPC, and possibly frames. Unary calls go by frames if the peer has them;
// streams, and calls with options that frames do not support, go over gRPC. A broken connection is made again by the
// next call.
type Channel struct {
	rest   Rest
	memory *wire.Memory
	dial   func(context.Context) (net.Conn, error)
	conn   atomic.Pointer[Conn]
	none   atomic.Bool // the peer has no frames
	ctx    context.Context
	end    context.CancelFunc

	mu     sync.Mutex
	closed bool
	next   *attempt // under way
}

type attempt struct {
	done chan struct{}
	conn *Conn
	err  error
}

// NewChannel returns a channel that connects at the first call, and closes rest with itself. If dial returns ErrNone,
// the peer has no frames.
func NewChannel(rest Rest, dial func(context.Context) (net.Conn, error)) *Channel {
	ch := &Channel{rest: rest, dial: dial}
	ch.ctx, ch.end = context.WithCancel(context.Background())
	return ch
}

// Within bounds the answers of an untrusted peer: long answers take of that memory. Call it before the first call.
func (ch *Channel) Within(memory *wire.Memory) { ch.memory = memory }

// Connect makes the connection if there is none, and returns ErrNone if the peer has no frames.
func (ch *Channel) Connect(ctx context.Context) error {
	if ch.none.Load() {
		return ErrNone
	}
	_, err := ch.get(ctx)
	return err
}

// Framed reports whether unary calls go by frames, as far as is known.
func (ch *Channel) Framed() bool { return !ch.none.Load() }

// Invoke implements grpc.ClientConnInterface.
func (ch *Channel) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	for range 2 {
		if ch.none.Load() || !plain(options) {
			break
		}
		c, err := ch.get(ctx)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			break // gRPC answers, or knows better what is wrong
		}
		err = c.Invoke(ctx, method, args, reply, options...)
		if _, unsent := errors.AsType[*unsentError](err); !unsent {
			return err
		}
	}
	return ch.rest.Invoke(ctx, method, args, reply, options...)
}

// plain reports whether frames have a place for all of a call's options.
func plain(options []grpc.CallOption) bool {
	for _, o := range options {
		switch o.(type) {
		case grpc.TrailerCallOption, grpc.StaticMethodCallOption:
		default:
			return false
		}
	}
	return true
}

// NewStream implements grpc.ClientConnInterface.
func (ch *Channel) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	options ...grpc.CallOption) (grpc.ClientStream, error) {
	return ch.rest.NewStream(ctx, desc, method, options...)
}

// get returns the connection, and makes it if there is none.
func (ch *Channel) get(ctx context.Context) (*Conn, error) {
	if c := ch.conn.Load(); c != nil && !c.failed() {
		return c, nil
	}
	ch.mu.Lock()
	if ch.closed {
		ch.mu.Unlock()
		return nil, lost(errClosed).Err()
	}
	a := ch.next
	if c := ch.conn.Load(); a == nil && c != nil && !c.failed() {
		ch.mu.Unlock()
		return c, nil
	}
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		ch.next = a
		go ch.connect(a)
	}
	ch.mu.Unlock()
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (ch *Channel) connect(a *attempt) {
	ctx, cancel := context.WithTimeout(ch.ctx, dialTimeout)
	defer cancel()
	nc, err := ch.dial(ctx)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	defer close(a.done)
	ch.next = nil
	switch {
	case errors.Is(err, ErrNone):
		ch.none.Store(true)
		a.err = err
	case err != nil:
		a.err = status.Errorf(codes.Unavailable, "connecting by %s failed: %v", Protocol, err)
	case ch.closed:
		hangUp(nc)
		a.err = lost(errClosed).Err()
	default:
		a.conn = newConn(nc, ch.memory)
		ch.conn.Store(a.conn)
	}
}

// Close ends both connections.
func (ch *Channel) Close() error {
	ch.end()
	ch.mu.Lock()
	ch.closed = true
	a, c := ch.next, ch.conn.Load()
	ch.mu.Unlock()
	if a != nil {
		<-a.done
	}
	if c != nil {
		_ = c.Close()
	}
	return ch.rest.Close()
}
