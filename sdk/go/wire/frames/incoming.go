package frames

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// incoming is a call that is being served, and the context of its handler: a timer and a channel are made for those who
// ask for them. It implements wire.Incoming and grpc.ServerTransportStream too.
type incoming struct {
	id       uint32
	server   *Server
	method   *method
	object   string
	pairs    metadata.MD // what the caller sent along
	deadline time.Time   // zero: there is none

	alone bool // no other call was open when it came
	taken bool // whole or given up; used by whoever reads

	// refused is why it is not served: its bytes are not kept. come is how much of its whole length has arrived.
	refused     error
	come, whole int

	// Used by whoever reads until the call is taken, and then by whoever serves.
	payload []byte
	buffer  *[]byte // of the payload; nil if the handler may keep the payload
	size    int     // that is counted

	mu      sync.Mutex
	full    context.Context
	cancel  context.CancelFunc
	gone    chan struct{}
	err     error // why it has ended
	trailer metadata.MD
}

// Object implements wire.Incoming.
func (q *incoming) Object() string { return q.object }

// Bare implements wire.Incoming.
func (q *incoming) Bare() bool { return len(q.pairs) == 0 }

// Deadline implements context.Context.
func (q *incoming) Deadline() (time.Time, bool) { return q.deadline, !q.deadline.IsZero() }

// Done implements context.Context.
func (q *incoming) Done() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full == nil {
		if q.deadline.IsZero() {
			q.full, q.cancel = context.WithCancel(context.Background())
		} else {
			q.full, q.cancel = context.WithDeadline(context.Background(), q.deadline)
		}
		if q.err != nil {
			q.cancel()
		}
	}
	return q.full.Done()
}

// Err implements context.Context.
func (q *incoming) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.full != nil:
		return q.full.Err()
	case q.err == nil && !q.deadline.IsZero() && !time.Now().Before(q.deadline):
		return context.DeadlineExceeded
	}
	return q.err
}

// Value implements context.Context.
func (q *incoming) Value(key any) any {
	switch key {
	case wire.IncomingKey, streamKey:
		return q
	case metadataKey:
		md := q.pairs.Copy()
		if md == nil {
			md = metadata.MD{}
		}
		if q.object != "" {
			md.Set(wire.ObjectKey, q.object)
		}
		return md
	}
	q.mu.Lock()
	full := q.full
	q.mu.Unlock()
	if full == nil {
		return nil
	}
	return full.Value(key) // contexts that derive from this one find in that one what cancels them
}

func (q *incoming) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	if q.cancel != nil {
		q.cancel()
	}
	if q.gone != nil {
		close(q.gone)
		q.gone = nil
	}
}

// cancelled is closed when the call ends, and not at its deadline: it is for those who keep the deadline themselves.
func (q *incoming) cancelled() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return closed
	}
	if q.gone == nil {
		q.gone = make(chan struct{})
	}
	return q.gone
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Method implements grpc.ServerTransportStream.
func (q *incoming) Method() string { return q.method.name }

// SetHeader implements grpc.ServerTransportStream.
func (q *incoming) SetHeader(metadata.MD) error {
	return status.Errorf(codes.Unimplemented, "an answer of %s has trailers and no headers", Protocol)
}

// SendHeader implements grpc.ServerTransportStream.
func (q *incoming) SendHeader(md metadata.MD) error { return q.SetHeader(md) }

// SetTrailer implements grpc.ServerTransportStream.
func (q *incoming) SetTrailer(md metadata.MD) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.trailer == nil {
		q.trailer = md
	} else {
		q.trailer = metadata.Join(q.trailer, md)
	}
	return nil
}

// ending is the header of the answer, and what of the trailers has no place in it.
func (q *incoming) ending(kind byte) (header, metadata.MD) {
	h := header{id: q.id, kind: kind}
	q.mu.Lock()
	md := q.trailer
	q.mu.Unlock()
	rest := len(md)
	if g := md[wire.GenerationKey]; len(g) > 0 {
		n, _ := strconv.ParseUint(g[0], 10, 32) // 0 before Init, when there is none
		h.flags, h.aux = flagGeneration, uint32(n)
		rest--
	}
	if d := md[wire.DrainingKey]; len(d) > 0 {
		h.flags |= flagDraining
		rest--
	}
	if rest == 0 {
		md = nil
	}
	return h, md
}

// decode hands the request over to the handler.
func (q *incoming) decode(v any) error {
	b := q.payload
	q.payload = nil
	if q.buffer == nil {
		return q.server.keep(b, v)
	}
	return decode(b, v, nil)
}

// release gives the request's buffer back.
func (q *incoming) release() {
	if q.buffer != nil {
		putBuffer(q.buffer)
		q.buffer = nil
	}
	q.payload = nil
}

// keptMessage is what of an error's sentence is kept when its status is too large for a frame.
const keptMessage = 4 << 10

// encodeStatus makes the payload of an error. One that does not fit a frame loses its details, and then the end of its
// sentence.
func encodeStatus(err error) []byte {
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err) // UNKNOWN if it is none
	}
	if s.Code() == codes.OK { // no handler may succeed with an error
		s = status.New(codes.Unknown, s.Message())
	}
	b, merr := proto.Marshal(s.Proto())
	if merr == nil && len(b) <= maxChunk {
		return b
	}
	text := s.Message()
	if len(text) > keptMessage {
		text = text[:keptMessage]
	}
	// a code and a valid text always encode
	b, _ = proto.Marshal(status.New(s.Code(), strings.ToValidUTF8(text, "\uFFFD")).Proto())
	return b
}
