package loophost

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// gate is where callers of an object (or of a plugin itself) wait until it can be called. Every caller waits on its own
// deadline and behind nobody.
type gate struct {
	mu      sync.Mutex
	life    *life // open in this life; nil: not open
	blocked error // fails callers at once
	changed chan struct{}
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) set(l *life, blocked error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.life, g.blocked = l, blocked
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *gate) open(l *life)    { g.set(l, nil) }
func (g *gate) block(err error) { g.set(nil, err) }
func (g *gate) shut()           { g.set(nil, nil) }

// look returns the gate's state and the channel that closes when it changes.
func (g *gate) look() (*life, <-chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.life, g.changed, g.blocked
}

// wait returns the life in which the gate is open.
func (g *gate) wait(ctx context.Context, what string) (*life, error) {
	for {
		l, changed, blocked := g.look()
		switch {
		case blocked != nil:
			return nil, blocked
		case l != nil && !l.dying():
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s := status.FromContextError(ctx.Err())
			return nil, status.Errorf(s.Code(), "waiting for %s to come back: %v", what, ctx.Err())
		}
	}
}

// settled waits until the gate is open or blocked, or stop ends.
func (g *gate) settled(stop <-chan struct{}) bool {
	for {
		l, changed, blocked := g.look()
		if blocked != nil || (l != nil && !l.dying()) {
			return true
		}
		select {
		case <-changed:
		case <-stop:
			return false
		}
	}
}

// gated is the connection behind a gate: it waits, calls in the life that it finds, and calls once more in the next life what
// may be called again.
type gated struct {
	plugin *Plugin
	what   string
	gate   *gate
	// suspect is told of a call that was in flight at two deaths.
	suspect func(method string)
}

// Invoke implements grpc.ClientConnInterface.
func (c *gated) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	retryable := false
	if m, ok := wire.MethodOf(method); ok {
		retryable = m.Retryable
	}
	for attempt := 1; ; attempt++ {
		l, err := c.gate.wait(ctx, c.what)
		if err != nil {
			return err
		}
		// Counted before the gate is looked at once more: whoever shuts it and then waits for the count misses no call.
		l.calls.Add(1)
		if now, _, _ := c.gate.look(); now != l {
			l.calls.Add(-1)
			attempt--
			continue
		}
		var trailer metadata.MD
		err = l.conn.Invoke(ctx, method, args, reply, append(opts[:len(opts):len(opts)], grpc.Trailer(&trailer))...)
		l.calls.Add(-1)
		if err != nil && len(trailer.Get(wire.DrainingKey)) > 0 {
			// Refused unbegun by a life that is ending: it does not count as an attempt.
			select {
			case <-l.ended():
				attempt--
				continue
			case <-ctx.Done():
				return err
			}
		}
		if !lost(ctx, err, trailer, l) {
			return err
		}
		// The connection broke under the call: whether it was served nobody can say.
		died := c.plugin.confirmDeath(ctx, l)
		switch {
		case attempt == 2 && died:
			c.suspect(method)
			return c.unknown(method, "in two lives in a row")
		case attempt == 2 || !retryable || ctx.Err() != nil:
			return c.unknown(method, "")
		}
	}
}

// NewStream implements grpc.ClientConnInterface. Streams are not resumed: they end UNAVAILABLE with their life.
func (c *gated) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	l, err := c.gate.wait(ctx, c.what)
	if err != nil {
		return nil, err
	}
	s, err := l.conn.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &lifeStream{ClientStream: s, conn: c, ctx: ctx, life: l, method: method}, nil
}

func (c *gated) unknown(method, how string) error {
	if how != "" {
		how = " " + how
	}
	return status.Errorf(codes.Unavailable, "plugin %s ended during %s%s; the call's outcome is unknown", c.plugin.name, method, how)
}

// lost tells an error of the transport from one of the application, which carries its server's generation.
func lost(ctx context.Context, err error, trailer metadata.MD, l *life) bool {
	if err == nil || len(trailer.Get(wire.GenerationKey)) > 0 {
		return false
	}
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.Canceled: // the connection was closed under the call
		return ctx.Err() == nil && l.dying()
	}
	return false
}

type lifeStream struct {
	grpc.ClientStream
	conn   *gated
	ctx    context.Context
	life   *life
	method string
}

// RecvMsg implements grpc.ClientStream.
func (s *lifeStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil && lost(s.ctx, err, s.Trailer(), s.life) {
		return status.Errorf(codes.Unavailable, "plugin %s ended during the stream %s", s.conn.plugin.name, s.method)
	}
	return err
}
