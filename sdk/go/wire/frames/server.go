package frames

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Server serves the unary methods that are registered with it. It implements grpc.ServiceRegistrar.
type Server struct {
	logger  *slog.Logger
	memory  *wire.Memory
	methods map[string]*method
	running sync.WaitGroup
	served  budget

	mu      sync.Mutex
	stopped bool
	conns   map[*serverConn]struct{}
}

type method struct {
	name    string
	impl    any
	handler grpc.MethodHandler
	quick   atomic.Int32 // runs in a row that were short
}

// NewServer returns a server without connections.
func NewServer(logger *slog.Logger) *Server {
	return &Server{logger: logger, methods: map[string]*method{}, conns: map[*serverConn]struct{}{}}
}

// Within bounds what untrusted callers make the server hold: long requests take of that memory, and answers that are
// not read are dropped. Call it before the first connection.
func (s *Server) Within(memory *wire.Memory) { s.memory = memory }

// RegisterService implements grpc.ServiceRegistrar. Call it before the first connection.
func (s *Server) RegisterService(d *grpc.ServiceDesc, impl any) {
	for _, m := range d.Methods {
		name := "/" + d.ServiceName + "/" + m.MethodName
		s.methods[name] = &method{name: name, impl: impl, handler: m.Handler}
	}
}

// Serve takes over a connection on which both sides have agreed to the protocol, and returns at once.
func (s *Server) Serve(nc net.Conn) {
	c := &serverConn{
		writer: newWriter(nc, always), server: s, in: newReader(nc), open: map[uint32]*incoming{}, names: map[string]string{},
		work: make(chan *incoming),
	}
	c.relief = newRelief(func() {
		c.hire()
		s.running.Go(c.serve)
	})
	c.retire = time.AfterFunc(time.Hour, c.letGo)
	c.retire.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		hangUp(nc)
		return
	}
	s.conns[c] = struct{}{}
	s.running.Go(c.run)
	s.running.Go(c.serve)
}

// Stop ends every connection, and returns when the last handler has ended.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	for c := range s.conns {
		c.end(errClosed)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Finish waits until every call is answered and every answer written, or ctx has ended. New calls are accepted
// meanwhile.
func (s *Server) Finish(ctx context.Context) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		c.quiet.waitLocked(&c.mu, ctx.Done(), func() bool {
			return c.err != nil || len(c.open) == 0 && len(c.out) == 0 && !c.flushing
		})
		c.mu.Unlock()
	}
}

// serverConn is the serving end of one connection.
type serverConn struct {
	*writer // its lock guards open, bytes, counted and workers
	server  *Server
	open    map[uint32]*incoming
	bytes   int // of its requests that are not answered
	counted int // of its open calls, among those of all connections
	workers int
	retire  *time.Timer    // set while there are workers
	work    chan *incoming // nil: a worker is let go
	idle    atomic.Int32   // workers that wait for work
	relief  *relief

	// Used by the goroutine that reads.
	in    *reader
	names map[string]string // of objects: a connection's calls are for few
}

func (c *serverConn) serve() {
	err := c.read()
	if err == nil {
		c.await() // somebody else reads
		return
	}
	c.end(err)
	c.relief.timer.Stop()
	c.retire.Stop()
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	var broken *brokenError
	if errors.As(err, &broken) {
		c.server.logger.Error("a connection is closed", "error", err)
	}
}

// end fails the connection and lets the handlers of its calls know.
func (c *serverConn) end(err error) {
	c.mu.Lock()
	c.failLocked(err)
	c.server.served.requests.Add(-int64(c.bytes)) // none of them is answered any more
	c.server.served.calls.Add(-int64(c.counted))
	c.bytes, c.counted = 0, 0
	calls := make([]*incoming, 0, len(c.open))
	for _, q := range c.open {
		calls = append(calls, q)
	}
	c.mu.Unlock()
	for _, q := range calls {
		q.end(context.Canceled)
	}
}

// read takes frames until the connection ends. It returns nil when another goroutine does so in its place.
func (c *serverConn) read() error {
	for {
		f, err := c.in.next()
		if err != nil {
			return err
		}
		var q *incoming // whole
		switch f.kind {
		case kindRequest:
			q, err = c.begin(&f)
		case kindChunk:
			q, err = c.goOn(&f)
		case kindCancel:
			c.cancel(f.id)
		default:
			err = malformed("a frame of kind %d from a caller", f.kind)
		}
		if err != nil {
			return err
		}
		if q != nil && !c.dispatch(q) {
			return nil
		}
	}
}

// begin takes the first frame of a request.
func (c *serverConn) begin(f *frame) (q *incoming, err error) {
	more := f.flags&flagMore != 0
	q = &incoming{id: f.id, server: c.server, whole: len(f.payload)}
	if more {
		if q.whole, err = cutWhole(f); err != nil {
			return nil, err
		}
	}
	name, rest, ok := cutText(f.head)
	object, rest, ok2 := cutText(rest)
	if !ok || !ok2 {
		return nil, malformed("the head of a request is cut off")
	}
	if q.method = c.server.methods[string(name)]; q.method == nil {
		q.method = &method{name: string(name)}
	}
	q.object = c.name(object)
	if len(rest) > 0 {
		if q.pairs, err = addPairs(nil, rest); err != nil {
			return nil, err
		}
	}
	if f.aux != 0 {
		q.deadline = time.Now().Add(time.Duration(f.aux) * time.Microsecond)
	}
	if err := c.admit(q, costOf(len(f.head))); err != nil {
		return nil, err
	}
	q.come = len(f.payload)
	switch {
	case q.refused != nil:
	case more && (c.server.memory != nil || q.whole > keptBuffer):
		c.server.memory.Take(q.whole)
		q.payload = append(make([]byte, 0, q.whole), f.payload...)
	default:
		q.buffer = getBuffer()
		*q.buffer = append(slices.Grow(*q.buffer, q.whole), f.payload...)
		q.payload = *q.buffer
	}
	if more {
		return nil, nil
	}
	return q, nil
}

// admit registers a call, whose head costs so much.
func (c *serverConn) admit(q *incoming, head int) error {
	size := q.whole
	if c.server.memory != nil { // whoever calls may want to harm this process
		size += head
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open[q.id] != nil:
		return malformed("call %d is begun twice", q.id)
	case len(c.open) == maxOpen, c.server.memory != nil && c.server.served.calls.Load() >= maxOpen:
		return malformed("more than %d calls are open", maxOpen)
	case c.err != nil:
		return c.err // and nobody would tell the call that it is over
	case q.method.handler == nil:
		q.refused = status.Errorf(codes.Unimplemented, "unknown method %.128s", q.method.name)
	case !c.server.served.admit(size):
		q.refused = status.Errorf(codes.ResourceExhausted, "the requests of a process that are not answered have at most "+
			"%d bytes, and the %d of %s are too many beside the others; wait for answers", maxServed, q.whole, q.method.name)
	default:
		q.size = size
	}
	if q.refused != nil {
		q.object, q.pairs = "", nil // which were counted nowhere
	}
	c.open[q.id] = q
	c.server.served.calls.Add(1)
	c.counted++
	c.bytes += q.size
	q.alone = len(c.open) == 1
	return nil
}

// name keeps the names of objects, which come again and again.
func (c *serverConn) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > longestName {
		return string(b) // of no object
	}
	s, ok := c.names[string(b)]
	if !ok {
		if len(c.names) >= maxOpen {
			clear(c.names)
		}
		s = string(b)
		c.names[s] = s
	}
	return s
}

func (c *serverConn) find(id uint32) *incoming {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[id]
}

// goOn takes a chunk of a request.
func (c *serverConn) goOn(f *frame) (q *incoming, err error) {
	q = c.find(f.id)
	if q == nil || q.taken {
		return nil, malformed("a chunk for call %d, which wants none", f.id)
	}
	if err := checkChunk(q.come, q.whole, f); err != nil {
		return nil, err
	}
	q.come += len(f.payload)
	if q.refused == nil {
		q.payload = append(q.payload, f.payload...)
	}
	if q.come < q.whole {
		return nil, nil
	}
	return q, nil
}

// cancel lets a handler know that its caller has gone. A call without a handler gets none any more.
func (c *serverConn) cancel(id uint32) {
	q := c.find(id)
	if q == nil {
		return // it was answered meanwhile
	}
	q.end(context.Canceled)
	if !q.taken {
		q.taken = true // no chunk follows
		c.server.running.Go(func() { c.answer(q, nil, status.Error(codes.Canceled, "the request was not sent whole")) })
	}
}

// answer answers a call, once.
func (c *serverConn) answer(q *incoming, reply any, err error) {
	q.end(context.Canceled)
	var message []byte
	var buffer *[]byte
	if err == nil {
		if message, buffer, err = encode(reply); err == nil && len(message) > wire.MaxMessageBytes {
			err = tooLarge("answer", q.method.name, len(message))
		}
	}
	if err == nil && c.server.memory != nil {
		if len(message) > wire.LongMessage {
			c.server.memory.Take(2 * len(message)) // for the message, and for its encoding
		}
		if c.server.served.hold(len(message)) {
			defer c.server.served.answers.Add(-int64(len(message)))
		} else {
			err = status.Errorf(codes.ResourceExhausted, "the answers that a process has not read have at most %d bytes, and "+
				"the %d of %s are too many beside the others; read them", maxAnswers, len(message), q.method.name)
		}
	}
	kind := kindResponse
	if err != nil {
		kind = kindError
		message = encodeStatus(err)
	}
	if buffer != nil {
		defer putBuffer(buffer)
	}
	q.release()
	h, pairs := q.ending(kind)
	head, first := pairsSize(pairs), len(message)
	if head > maxHead-4 {
		head, pairs = 0, nil
	}
	if first > maxChunk {
		h.flags, head, first = h.flags|flagMore, head+4, maxChunk
	}
	c.mu.Lock()
	if !c.waitRoomLocked(nil) || c.err != nil {
		c.mu.Unlock()
		return
	}
	if first == len(message) {
		c.closeLocked(q)
	}
	c.out = appendHeader(c.out, h, head, first)
	if h.flags&flagMore != 0 {
		c.out = binary.LittleEndian.AppendUint32(c.out, uint32(len(message)))
	}
	c.out = append(appendPairs(c.out, pairs), message[:first]...)
	c.send(len(c.open) > 0)
	if len(message) > first {
		c.chunks(nil, q.id, message[first:], func(last bool) bool {
			if last {
				c.closeLocked(q)
			}
			return true
		})
	}
}

// closeLocked frees a call's id, with the last frame of its answer.
func (c *serverConn) closeLocked(q *incoming) {
	delete(c.open, q.id)
	c.bytes -= q.size
	c.server.served.requests.Add(-int64(q.size))
	c.server.served.calls.Add(-1)
	c.counted--
}

// always is for the writer of a server: a worker may hang in a write of answers, since nobody waits for it except the
// callers that do not read them.
func always() bool { return true }

// Beside registers services with the server and with another one, which serves the streams.
func (s *Server) Beside(other grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	return registrars{s, other}
}

type registrars []grpc.ServiceRegistrar

// RegisterService implements grpc.ServiceRegistrar.
func (all registrars) RegisterService(d *grpc.ServiceDesc, impl any) {
	for _, r := range all {
		r.RegisterService(d, impl)
	}
}
