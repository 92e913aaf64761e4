package frames

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// errClosed is the error of a connection that its owner has closed.
var errClosed = errors.New("the connection was closed")

// unsentError is a call of which nothing was sent, because the connection had failed before.
type unsentError struct{ cause error }

func (e *unsentError) Error() string { return e.cause.Error() }

// GRPCStatus returns the caller's error if there is no other connection.
func (e *unsentError) GRPCStatus() *status.Status { return lost(e.cause) }

func lost(cause error) *status.Status {
	return status.Newf(codes.Unavailable, "the connection of %s broke: %v", Protocol, cause)
}

// Conn is the calling end of one connection.
type Conn struct {
	*writer // its lock guards the fields up to small
	calls   map[uint32]*call
	last    uint32
	bytes   int // of the requests that are not answered
	passed  int // of these the bytes of the calls that passed others
	long    int // bytes of the long answers that come or are decoded
	// The calls that wait for room: long ones and, separately, small ones, which need not wait for the bytes of long ones.
	slots, small line
	// One timer serves all calls: it is set for the first deadline to come, and each time that it fires for the next one.
	timer  *time.Timer
	due    time.Time // zero: the timer is not set
	answer metadata.MD
	number uint32 // the generation of answer
	lead   lead
	in     *reader // used by whoever leads

	memory  *wire.Memory
	spare   sync.Pool // of calls
	running sync.WaitGroup
}

// call is a call that is not answered. It belongs to its caller: if the caller leaves, one without a caller takes its
// place.
type call struct {
	done     chan struct{} // takes one value when the call has ended
	method   string
	deadline time.Time
	reply    any
	trailer  *metadata.MD
	size     int
	passed   bool // it has passed others, which wait for bytes
	gone     bool

	// Set by whoever ends the call.
	err     error
	ended   metadata.MD
	message []byte // of an answer in chunks, which has whole bytes in the end
	whole   int
	counted int // of these in long
}

// NewConn makes calls over nc, on which both sides have agreed to the protocol. Close ends it.
func NewConn(nc net.Conn) *Conn { return newConn(nc, nil) }

// newConn bounds the answers of an untrusted peer if it is given a memory, from which long answers take.
func newConn(nc net.Conn, memory *wire.Memory) *Conn {
	c := &Conn{calls: map[uint32]*call{}, memory: memory}
	// A caller writes by itself as long as little is unanswered: no caller may hang in a write past its deadline.
	c.writer = newWriter(nc, func() bool { return len(c.calls) <= directCalls && c.bytes <= directBytes })
	c.timer = time.AfterFunc(time.Hour, c.expire)
	c.timer.Stop()
	c.in, c.lead.taken, c.lead.own = newReader(nc), true, make(chan struct{}, 1)
	c.lead.own <- struct{}{}
	c.lead.timer = time.AfterFunc(time.Hour, c.look)
	c.lead.timer.Stop()
	c.running.Go(c.run)
	c.running.Go(c.read)
	return c
}

// Close ends the connection and every call on it, and returns when nothing of it runs any more.
func (c *Conn) Close() error {
	c.end(errClosed)
	c.running.Wait()
	return nil
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// NewStream implements grpc.ClientConnInterface.
func (c *Conn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Errorf(codes.Unimplemented, "%s has no streams: they go over gRPC", Protocol)
}

// Invoke implements grpc.ClientConnInterface. Of the options only grpc.Trailer has an effect.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	var trailer *metadata.MD
	for _, o := range options {
		if t, ok := o.(grpc.TrailerCallOption); ok {
			trailer = t.TrailerAddr
		}
	}
	out, err := newRequest(ctx, method, args)
	if err != nil {
		return err
	}
	defer out.free()
	k, _ := c.spare.Get().(*call)
	if k == nil {
		k = &call{done: make(chan struct{}, 1)}
	}
	k.method, k.deadline, k.reply, k.trailer, k.size = method, out.Deadline, reply, trailer, len(out.message)
	id, leads, err := c.begin(ctx, out, k)
	if err != nil {
		c.release(k)
		return err
	}
	if len(out.message) > maxChunk {
		c.chunks(ctx.Done(), id, out.message[maxChunk:], func(bool) bool { return c.calls[id] == k })
	}
	if leads {
		c.readFor(k)
	}
	select {
	case <-k.done:
	case <-out.cancelled():
		c.leave(id, k, status.FromContextError(out.Caller.Err()).Err())
		<-k.done // at once: by leave, or by who has the answer already
	}
	if err = k.err; err == nil && k.message != nil {
		err = undecodable(method, keep(k.message, reply, c.memory))
		c.mu.Lock()
		c.dropLocked(k)
		c.mu.Unlock()
	}
	c.release(k)
	return err
}

func (c *Conn) release(k *call) {
	*k = call{done: k.done}
	c.spare.Put(k)
}

// request is a call as it is sent.
type request struct {
	wire.Call
	method  string
	pairs   metadata.MD
	message []byte
	buffer  *[]byte
	head    int
}

func newRequest(ctx context.Context, method string, args any) (request, error) {
	r := request{Call: wire.CallOf(ctx), method: method}
	if err := r.Caller.Err(); err != nil {
		return r, status.FromContextError(err).Err()
	}
	r.pairs, _ = metadata.FromOutgoingContext(r.Caller)
	if v := r.pairs[wire.ObjectKey]; r.Object == "" && len(v) == 1 {
		r.Object = v[0]
	}
	r.head = 4 + len(method) + len(r.Object) + pairsSize(r.pairs)
	if r.head > maxHead-4 {
		return r, status.Errorf(codes.ResourceExhausted, "the metadata of a call of %s has %d bytes; the limit is %d", method,
			r.head, maxHead-4)
	}
	var err error
	if r.message, r.buffer, err = encode(args); err != nil {
		return r, err
	}
	if n := len(r.message); n > wire.MaxMessageBytes {
		r.free()
		return r, tooLarge("request", method, n)
	}
	return r, nil
}

// cancelled is closed when the caller has gone. The connection keeps the deadlines.
func (r *request) cancelled() <-chan struct{} {
	if q, ok := r.Caller.(*incoming); ok {
		return q.cancelled()
	}
	return r.Caller.Done()
}

func (r *request) free() {
	if r.buffer != nil {
		putBuffer(r.buffer)
		r.buffer = nil
	}
}

// left is the remaining time in microseconds. If it does not fit the field, the server has no limit, and the caller
// cancels.
func (r *request) left() (uint32, error) {
	if r.Deadline.IsZero() {
		return 0, nil
	}
	left := time.Until(r.Deadline).Microseconds()
	switch {
	case left <= 0:
		return 0, status.FromContextError(context.DeadlineExceeded).Err()
	case left > 1<<32-1:
		return 0, nil
	}
	return uint32(left), nil
}

func (r *request) append(b []byte, id, left uint32) []byte {
	h := header{id: id, kind: kindRequest, aux: left}
	head, first := r.head, len(r.message)
	if first > maxChunk {
		h.flags, head, first = flagMore, head+4, maxChunk
	}
	b = appendHeader(b, h, head, first)
	if h.flags != 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.message)))
	}
	b = appendPairs(appendText(appendText(b, r.method), r.Object), r.pairs)
	return append(b, r.message[:first]...)
}

// begin registers a call and sends the first frame of its request. If leads is true, the caller reads the answer
// itself.
func (c *Conn) begin(ctx context.Context, out request, k *call) (id uint32, leads bool, err error) {
	c.mu.Lock()
	slots := &c.slots
	if k.size <= maxChunk {
		slots = &c.small
	}
	urgent := out.method == healthCheck
	for behind := len(slots.waiting) > 0; c.err == nil; behind = false {
		var came bool
		if !(urgent && len(c.calls) < maxOpen) && (behind || !c.freeLocked(k.size)) {
			came = slots.waitLocked(&c.mu, ctx.Done(), func() bool { return c.err != nil || c.freeLocked(k.size) })
			c.small.wakeLocked() // small calls may have waited until this one goes on or leaves
		} else if len(c.out) > maxQueue {
			came = c.waitRoomLocked(ctx.Done())
		} else {
			break
		}
		if !came {
			c.mu.Unlock()
			return 0, false, status.FromContextError(ctx.Err()).Err()
		}
	}
	if c.err != nil {
		defer c.mu.Unlock()
		return 0, false, &unsentError{c.err}
	}
	left, err := out.left()
	if err != nil {
		c.mu.Unlock()
		return 0, false, err
	}
	// An id comes again after 2^32 calls, when its first has long been answered.
	for c.last++; c.calls[c.last] != nil; c.last++ {
	}
	id = c.last
	c.calls[id] = k
	if k.passed = !c.sharedLocked(k.size); k.passed {
		c.passed += k.size
	}
	c.bytes += k.size
	if !k.deadline.IsZero() && (c.due.IsZero() || k.deadline.Before(c.due)) {
		c.due = k.deadline
		c.timer.Reset(time.Until(c.due))
	}
	c.out = out.append(c.out, id, left)
	leads = k.size <= maxChunk && c.tryLeadLocked(k)
	c.send(len(c.calls) > 1)
	return id, leads, nil
}

// leave gives up a call that has not ended yet: the server is told, and its answer, which comes all the same, frees the
// id.
func (c *Conn) leave(id uint32, k *call, err error) {
	c.mu.Lock()
	if c.calls[id] != k {
		c.mu.Unlock()
		return
	}
	c.abandonLocked(id, k, err)
	c.send(false)
}

// abandonLocked ends a call for its caller and tells the server.
func (c *Conn) abandonLocked(id uint32, k *call, err error) {
	c.out = appendHeader(c.out, header{id: id, kind: kindCancel}, 0, 0)
	c.giveLocked(id, k, err)
	if c.lead.caller == k {
		c.kickLocked() // the caller reads, and does not see the end otherwise
	}
}

// giveLocked ends a call for its caller, whatever comes of its answer.
func (c *Conn) giveLocked(id uint32, k *call, err error) {
	c.calls[id] = &call{gone: true, size: k.size, passed: k.passed}
	c.dropLocked(k)
	k.err, k.message = err, nil
	k.done <- struct{}{}
}

// expireEvery is the least time between two looks at all calls.
const expireEvery = time.Millisecond

// expire ends the calls whose deadline has passed.
func (c *Conn) expire() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	c.due = time.Time{}
	for id, k := range c.calls {
		switch {
		case k.gone || k.deadline.IsZero():
		case !now.Before(k.deadline):
			c.abandonLocked(id, k, status.FromContextError(context.DeadlineExceeded).Err())
		case c.due.IsZero() || k.deadline.Before(c.due):
			c.due = k.deadline
		}
	}
	if !c.due.IsZero() {
		c.timer.Reset(max(c.due.Sub(now), expireEvery))
	}
	c.send(false)
}

// end fails the connection and every call on it.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
	c.timer.Stop()
	c.lead.timer.Stop()
	for id, k := range c.calls {
		delete(c.calls, id)
		if !k.gone {
			k.err, k.message = lost(c.err).Err(), nil
			k.done <- struct{}{}
		}
	}
	c.bytes, c.passed, c.long = 0, 0, 0
	c.slots.wakeLocked()
	c.small.wakeLocked()
}

// take takes a frame of an answer, and ends its call if it is the last one.
func (c *Conn) take(f *frame) error {
	last := f.flags&flagMore == 0
	c.mu.Lock()
	k := c.calls[f.id]
	err := checkAnswer(f, k)
	if err != nil || k.gone && !last {
		c.mu.Unlock()
		return err
	}
	if !k.gone && (f.kind == kindChunk || !last) {
		if err = c.growLocked(k, f); err != nil || c.calls[f.id] != k {
			c.mu.Unlock()
			return err
		}
	}
	if f.kind != kindChunk && !k.gone {
		if k.ended, err = c.trailerOf(f, k.trailer != nil); err != nil {
			c.mu.Unlock()
			return err
		}
	}
	if !last {
		c.mu.Unlock()
		return nil
	}
	c.forgetLocked(f.id, k)
	c.mu.Unlock()
	if k.gone {
		return nil
	}
	// Nobody else has the call now. Decoding a message of one frame takes less time than waking another goroutine for it.
	switch f.kind {
	case kindError:
		err = k.fail(f)
	case kindResponse:
		k.err = undecodable(k.method, decode(f.payload, k.reply, nil))
	}
	if err != nil {
		k.err = lost(err).Err()
	} else if k.trailer != nil {
		*k.trailer = k.ended
	}
	k.done <- struct{}{}
	return err
}

// checkAnswer says what is wrong with a frame that comes for a call now.
func checkAnswer(f *frame, k *call) error {
	switch {
	case k == nil:
		return malformed("a frame of kind %d for call %d, which is not open", f.kind, f.id)
	case f.kind == kindResponse && k.whole == 0, f.kind == kindChunk && (k.whole > 0 || k.gone):
		return nil
	case f.kind == kindError && k.whole == 0 && f.flags&flagMore == 0:
		return nil
	}
	return malformed("a frame of kind %d with flags %d within an answer", f.kind, f.flags)
}

// fail takes an answer that is an error.
func (k *call) fail(f *frame) error {
	s := &spb.Status{}
	if err := proto.Unmarshal(f.payload, s); err != nil {
		return malformed("an error whose status does not decode")
	}
	if s.GetCode() == int32(codes.OK) {
		return malformed("an error of the code OK")
	}
	k.err = status.ErrorProto(s)
	return nil
}

func undecodable(method string, err error) error {
	if err == nil {
		return nil
	}
	return status.Errorf(codes.Internal, "the answer to %s does not decode: %v", method, err)
}

// trailerOf is what an answer's first frame says beside the message. Most say the same, which is made once. The lock is
// held.
func (c *Conn) trailerOf(f *frame, wanted bool) (md metadata.MD, err error) {
	if !wanted && len(f.head) == 0 {
		return nil, nil
	}
	if f.flags&flagGeneration != 0 {
		if c.answer == nil || c.number != f.aux {
			c.answer, c.number = metadata.MD{wire.GenerationKey: {strconv.FormatUint(uint64(f.aux), 10)}}, f.aux
		}
		md = c.answer
	}
	if f.flags&flagDraining == 0 && len(f.head) == 0 {
		return md, nil
	}
	md = metadata.Join(md) // a copy
	if f.flags&flagDraining != 0 {
		md[wire.DrainingKey] = []string{strconv.FormatUint(uint64(f.aux), 10)}
	}
	return addPairs(md, f.head)
}

// String names the connection in logs.
func (c *Conn) String() string { return fmt.Sprintf("%s over %s", Protocol, c.nc.RemoteAddr()) }

func (c *Conn) failed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
