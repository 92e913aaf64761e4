package loophost

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// bounds are the limits of the control groups of its processes.
func (p *Plugin) bounds() cgroup.Limits {
	bounds := cgroup.Limits{Memory: p.settings.MemoryLimit}
	if p.confinement.Level() != confine.None {
		bounds.Processes = confine.Processes
	}
	return bounds
}

// The limits, in bytes, of a process's requests over gRPC, which itself bounds only each stream. Frames have their own.
const (
	// maxBuffered is how much gRPC may hold of requests that are on their way or are being forwarded. Requests are
	// received one at a time, and the others wait with what fits the window of a stream: that is more than an SDK sends at
	// once, and a process that sends more is killed.
	maxBuffered = 48 << 20
	// window is how much of a request arrives before anything reads it, the least that gRPC allows. By itself gRPC would
	// raise it to the size of the message.
	window = 64 << 10
	// maxUnanswered is how much the requests that are being served may have together. As with frames, a part is for small
	// ones only: a small call without which a long one is not answered must not be refused because of it.
	maxUnanswered = 24 << 20
	forSmall      = 2 << 20
	smallRequest  = 32 << 10
)

// budget bounds what a process sends over gRPC. It is gRPC's pool of buffers for that.
//
// gRPC does not give all buffers back: no small ones, and none of a request that broke off. So small ones do not count,
// and whenever no request is on its way, the count begins anew.
type budget struct {
	mem.BufferPool
	over func()
	turn chan struct{} // held while a request is received

	mu         sync.Mutex
	held       int // bytes of buffers
	coming     int // requests that have begun and are not received yet
	unanswered int // bytes of the requests that are being served
	unread     int // bytes of the answers that are not written yet
}

var (
	_ stats.Handler         = (*budget)(nil)
	_ grpc.ServiceRegistrar = budgeted{}
)

func (l *generation) newBudget() *budget {
	return newBudget(func() {
		l.plugin.logger.Error("the plugin sends too much at a time over gRPC and is killed",
			"generation", l.number, "pid", l.pid(), "limit", maxBuffered)
		l.kill()
	})
}

func newBudget(over func()) *budget {
	return &budget{BufferPool: mem.DefaultBufferPool(), over: sync.OnceFunc(over), turn: make(chan struct{}, 1)}
}

// options are the options of the server whose requests it bounds.
func (b *budget) options() []grpc.ServerOption {
	return []grpc.ServerOption{experimental.BufferPool(b), grpc.StatsHandler(b), grpc.StaticStreamWindowSize(window)}
}

// Get implements mem.BufferPool.
func (b *budget) Get(length int) *[]byte {
	buffer := b.BufferPool.Get(length)
	if b.use(cap(*buffer), 1) > maxBuffered {
		b.over()
	}
	return buffer
}

// Put implements mem.BufferPool.
func (b *budget) Put(buffer *[]byte) {
	b.use(cap(*buffer), -1)
	b.BufferPool.Put(buffer)
}

func (b *budget) use(size, sign int) (held int) {
	if mem.IsBelowBufferPoolingThreshold(size) {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = max(b.held+sign*size, 0) // the buffers of a received request do not count any more, and come back later
	return b.held
}

// hold counts an answer, if there is room for it.
func (b *budget) hold(size int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unread+size > maxUnread {
		return false
	}
	b.unread += size
	return true
}

// read ends the count of an answer.
func (b *budget) read(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread -= size
}

// arrival is the first request of a call.
type arrival struct {
	come atomic.Bool // received, or the call has ended
	size int
}

type arrivalKey struct{}

// TagRPC implements stats.Handler.
func (*budget) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, arrivalKey{}, &arrival{})
}

// HandleRPC implements stats.Handler.
func (b *budget) HandleRPC(ctx context.Context, s stats.RPCStats) {
	size := 0
	switch s := s.(type) {
	case *stats.Begin:
		b.mu.Lock()
		b.coming++
		b.mu.Unlock()
		return
	case *stats.InPayload:
		size = s.Length
	case *stats.End:
	default:
		return
	}
	if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok && !a.come.Swap(true) {
		a.size = size
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.coming--; b.coming == 0 {
			b.held = 0
		}
	}
}

// TagConn implements stats.Handler.
func (*budget) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*budget) HandleConn(context.Context, stats.ConnStats) {}

// budgeted registers methods with a server so that their requests come one at a time and are counted until they are
// answered.
type budgeted struct {
	*grpc.Server
	*budget
}

// RegisterService implements grpc.ServiceRegistrar.
func (r budgeted) RegisterService(desc *grpc.ServiceDesc, impl any) {
	bounded := *desc
	bounded.Methods, bounded.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range desc.Methods {
		bounded.Methods[i].Handler = func(impl any, ctx context.Context, receive func(any) error,
			in grpc.UnaryServerInterceptor) (any, error) {
			q := request{budget: r.budget, ctx: ctx}
			defer q.answered()
			return m.Handler(impl, ctx, func(v any) error { return q.take(v, receive) }, in)
		}
	}
	for i, s := range desc.Streams {
		bounded.Streams[i].Handler = func(impl any, stream grpc.ServerStream) error {
			q := request{budget: r.budget, ctx: stream.Context()}
			defer q.answered()
			return s.Handler(impl, &budgetedStream{ServerStream: stream, first: &q})
		}
	}
	r.Server.RegisterService(&bounded, impl)
}

// budgetedStream is a stream of answers to one request: the contract has no other streams.
type budgetedStream struct {
	grpc.ServerStream
	first *request // nil: received
}

// RecvMsg implements grpc.ServerStream.
func (s *budgetedStream) RecvMsg(v any) error {
	if q := s.first; q != nil {
		s.first = nil
		return q.take(v, s.ServerStream.RecvMsg)
	}
	return s.ServerStream.RecvMsg(v)
}

// request is a request that is being served.
type request struct {
	*budget
	ctx context.Context

	// The budget's lock guards what follows.
	size  int // that is counted
	ended bool
}

// take receives the request in its turn, and counts its bytes until it is answered.
func (q *request) take(v any, receive func(any) error) error {
	select {
	case q.turn <- struct{}{}:
	case <-q.ctx.Done():
		return status.FromContextError(q.ctx.Err()).Err()
	}
	err := receive(v)
	<-q.turn
	a, ok := q.ctx.Value(arrivalKey{}).(*arrival)
	if err != nil || !ok {
		return err
	}
	if !q.count(a.size) {
		if f, forwarded := v.(*wire.Frame); forwarded {
			f.Data.Free()
		}
		return status.Errorf(codes.ResourceExhausted,
			"the requests of the plugin's calls over gRPC that are not answered may "+
				"have %d bytes, and this one of %d is too much beside the others; wait for their answers", maxUnanswered, a.size)
	}
	return nil
}

// count counts the request, and reports whether there is room for it.
func (q *request) count(size int) bool {
	limit := maxUnanswered
	if size > smallRequest {
		limit -= forSmall
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unanswered+size > limit {
		return false
	}
	if !q.ended {
		q.size = size
		q.unanswered += size
	}
	return true
}

// answered ends the count, whether or not the request was received.
func (q *request) answered() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.unanswered -= q.size
}
