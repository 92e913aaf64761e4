package wire

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
)

// Call is what a transport needs to know about a call that leaves through Bind.
type Call struct {
	// Caller is the caller's own context: its end cancels the call, and it may hold outgoing metadata.
	Caller context.Context
	// Object is the object that is called; empty means the plugin itself, or the object in the metadata.
	Object string
	// Deadline is the caller's, else the method's own; zero if there is none.
	Deadline time.Time
}

// CallOf splits the context of an Invoke. A transport that keeps Deadline itself saves the call a timer, and one that
// carries Object itself saves the metadata: Bind makes both only when they are asked for.
func CallOf(ctx context.Context) Call {
	c := Call{Caller: ctx}
	if o, ok := ctx.(*outgoing); ok {
		c.Caller, c.Object, c.Deadline = o.Context, o.object, o.deadline
	}
	if c.Deadline.IsZero() {
		c.Deadline, _ = c.Caller.Deadline()
	}
	return c
}

// outgoing is the context of a call through Bind. It is whole, with a timer, a channel and metadata, only once a
// transport wants more of it than CallOf tells.
type outgoing struct {
	context.Context // the caller's
	object          string
	deadline        time.Time // the method's own; zero: the caller's counts

	mu     sync.Mutex
	full   context.Context
	cancel context.CancelFunc
	ended  bool
}

// newOutgoing returns the context of one call. Its end is called when the call has ended.
func newOutgoing(ctx context.Context, method, object string) *outgoing {
	o := &outgoing{Context: ctx, object: object}
	if _, ok := ctx.Deadline(); !ok {
		if m, ok := MethodOf(method); ok && m.Timeout > 0 {
			o.deadline = time.Now().Add(m.Timeout)
		}
	}
	return o
}

func (o *outgoing) whole() context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full != nil {
		return o.full
	}
	if o.deadline.IsZero() {
		o.full, o.cancel = context.WithCancel(o.Context)
	} else {
		o.full, o.cancel = context.WithDeadline(o.Context, o.deadline)
	}
	if o.ended {
		o.cancel()
	}
	if o.object != "" {
		o.full = metadata.AppendToOutgoingContext(o.full, ObjectKey, o.object)
	}
	return o.full
}

func (o *outgoing) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.cancel != nil {
		o.cancel()
	}
}

// Deadline implements context.Context.
func (o *outgoing) Deadline() (time.Time, bool) {
	if !o.deadline.IsZero() {
		return o.deadline, true
	}
	return o.Context.Deadline()
}

// Done implements context.Context.
func (o *outgoing) Done() <-chan struct{} { return o.whole().Done() }

// Value implements context.Context.
func (o *outgoing) Value(key any) any { return o.whole().Value(key) }

// Err implements context.Context.
func (o *outgoing) Err() error {
	o.mu.Lock()
	full, ended := o.full, o.ended
	o.mu.Unlock()
	switch {
	case full != nil:
		return full.Err()
	case o.Context.Err() != nil:
		return o.Context.Err()
	case !o.deadline.IsZero() && !time.Now().Before(o.deadline):
		return context.DeadlineExceeded
	case ended:
		return context.Canceled
	}
	return nil
}

// Incoming is what a transport that carries the object outside the metadata reports about a call that it serves. It is
// the value of IncomingKey in the context of the call.
type Incoming interface {
	// Object is the object that is called.
	Object() string
	// Bare reports whether the call came without metadata from its caller.
	Bare() bool
}

type incomingKey struct{}

// IncomingKey is the context's key of an Incoming.
var IncomingKey any = incomingKey{}

// ObjectOf returns the object of the call that is being served; empty means the plugin itself.
func ObjectOf(ctx context.Context) string {
	if in, ok := ctx.Value(IncomingKey).(Incoming); ok {
		return in.Object()
	}
	if v := metadata.ValueFromIncomingContext(ctx, ObjectKey); len(v) == 1 {
		return v[0]
	}
	return ""
}
