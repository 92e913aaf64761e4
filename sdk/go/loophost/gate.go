package loophost

import (
	"context"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// gate is where callers of an object (or of a plugin itself) wait until it can be called. Every caller waits on its own
// deadline and behind nobody.
type gate struct{ now atomic.Pointer[stand] }

// stand is how a gate stands, until it changes: open, blocked or shut.
type stand struct {
	generation *generation // open in this generation
	blocked    error       // fails callers at once
	final      bool        // blocked for as long as the generation lasts
	changed    chan struct{}
}

func newGate() *gate {
	g := &gate{}
	g.now.Store(&stand{changed: make(chan struct{})})
	return g
}

func (g *gate) set(l *generation, blocked error, final bool) {
	close(g.now.Swap(&stand{generation: l, blocked: blocked, final: final, changed: make(chan struct{})}).changed)
}

// open reports whether callers are let through. A gate of a generation that is ending is as good as shut.
func (s *stand) open() bool { return s.generation != nil && !s.generation.dying() }

// wait returns how the gate stands as soon as it is open.
func (g *gate) wait(ctx context.Context, what string) (*stand, error) {
	for {
		s := g.now.Load()
		switch {
		case s.blocked != nil:
			return nil, s.blocked
		case s.open():
			return s, nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			c := status.FromContextError(ctx.Err())
			return nil, status.Errorf(c.Code(), waiting+"%s to come back: %v", what, ctx.Err())
		}
	}
}

// settled waits until the gate is open or blocked, so that a caller would not wait. It returns false if one of the ends
// comes first.
func (g *gate) settled(end, otherEnd <-chan struct{}) bool {
	for {
		s := g.now.Load()
		if s.blocked != nil || s.open() {
			return true
		}
		select {
		case <-s.changed:
		case <-end:
			return false
		case <-otherEnd:
			return false
		}
	}
}

// gated is the connection behind a gate: it waits, calls in the generation that it finds, and calls once more in the
// next generation what may be called again.
type gated struct {
	plugin *Plugin
	what   string
	gate   *gate
	// object is the object whose calls these are; empty for the plugin's own.
	object string
}

// Invoke implements grpc.ClientConnInterface.
func (c *gated) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var call journal.Call
	for {
		s, err := c.gate.wait(ctx, c.what)
		if err != nil {
			return err
		}
		l := s.generation
		// Counted before the gate is looked at once more: whoever shuts it and then waits for the count misses no call.
		l.calls.Add(1)
		if c.gate.now.Load() != s {
			l.calls.Add(-1)
			continue
		}
		var attempt struct { // one allocation, since every call makes it
			trailer metadata.MD
			options [4]grpc.CallOption
		}
		options := append(append(attempt.options[:0], opts...), grpc.Trailer(&attempt.trailer))
		err = l.conn.Invoke(ctx, method, args, reply, options...)
		l.calls.Add(-1)
		if err == nil {
			return nil
		}
		switch ending(ctx, err, attempt.trailer, l) {
		case journal.Answered:
			return err
		case journal.Refused:
			select {
			case <-l.ended():
			case <-ctx.Done():
				return err
			}
		case journal.Lost:
			m, known := wire.MethodOf(method)
			switch call.Lost(c.plugin.confirmDeath(ctx, l), known && m.Retryable, ctx.Err() != nil) {
			case journal.Unknown:
				return c.unknown(method, "")
			case journal.Suspect:
				c.plugin.suspect(c.object, method)
				return c.unknown(method, " in two generations in a row")
			case journal.Repeat:
			}
		}
	}
}

// NewStream implements grpc.ClientConnInterface. Streams are not resumed: they end with UNAVAILABLE when their
// generation ends.
func (c *gated) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.gate.wait(ctx, c.what)
	if err != nil {
		return nil, err
	}
	stream, err := s.generation.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &generationStream{ClientStream: stream, conn: c, ctx: ctx, generation: s.generation, method: method}, nil
}

func (c *gated) unknown(method, how string) error {
	return status.Errorf(codes.Unavailable, "plugin %s ended during %s%s"+unknown, c.plugin.name, method, how)
}

// The texts by which Began tells errors of calls that fail without an answer.
const (
	waiting = "waiting for "
	unknown = "; the call's outcome is unknown"
)

// Began reports whether a call that failed without an answer had begun in the plugin's process: its deadline has passed
// there, or the process has ended under it. A call that waited for the process in vain had not.
func Began(err error) bool {
	switch s := status.Convert(err); s.Code() {
	case codes.DeadlineExceeded:
		return !strings.HasPrefix(s.Message(), waiting)
	case codes.Unavailable:
		return strings.HasSuffix(s.Message(), unknown)
	default:
		return false
	}
}

// ending is how an attempt in a generation has failed.
func ending(ctx context.Context, err error, trailer metadata.MD, l *generation) journal.Ending {
	return journal.Attempt{
		Code:       status.Code(err),
		Generation: len(trailer.Get(wire.GenerationKey)) > 0,
		Draining:   len(trailer.Get(wire.DrainingKey)) > 0,
		Gone:       ctx.Err() != nil,
		Dying:      l.dying(),
	}.Ending()
}

type generationStream struct {
	grpc.ClientStream
	conn       *gated
	ctx        context.Context
	generation *generation
	method     string
}

// RecvMsg implements grpc.ClientStream.
func (s *generationStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && ending(s.ctx, err, s.Trailer(), s.generation) == journal.Lost {
		return status.Errorf(codes.Unavailable, "plugin %s ended during the stream %s", s.conn.plugin.name, s.method)
	}
	return err
}
