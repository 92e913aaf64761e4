package loophost

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// bounds are those of its processes' control groups.
func (p *Plugin) bounds() cgroup.Limits {
	bounds := cgroup.Limits{Memory: p.settings.MemoryLimit}
	if p.confinement.Level() != confine.None {
		bounds.Processes = confine.Processes
	}
	return bounds
}

// maxUndecoded is how many bytes of requests over gRPC a process may have sent that are not decoded yet: one request of
// the longest, and some more. Frames bound theirs themselves.
const maxUndecoded = 20 << 20

// budget is the buffers for what a process sends over gRPC, which bounds streams and not their bytes: who has more than
// its due is ended.
//
// gRPC gives buffers back only if it likes: small ones never, and none of a request that broke off. So small ones do
// not count, and whenever no request is on its way, nothing does.
type budget struct {
	mem.BufferPool
	held, coming atomic.Int64 // bytes, and requests that have begun and have not come
	over         func()
}

var _ stats.Handler = (*budget)(nil)

func (l *life) newBudget() *budget {
	return &budget{BufferPool: mem.DefaultBufferPool(), over: sync.OnceFunc(func() {
		l.plugin.logger.Error("the plugin sends more at once over gRPC than it may and is killed",
			"generation", l.generation, "pid", l.pid(), "limit", maxUndecoded)
		l.kill()
	})}
}

// Get implements mem.BufferPool.
func (b *budget) Get(length int) *[]byte {
	buffer := b.BufferPool.Get(length)
	if size := cap(*buffer); !mem.IsBelowBufferPoolingThreshold(size) && b.held.Add(int64(size)) > maxUndecoded {
		b.over()
	}
	return buffer
}

// Put implements mem.BufferPool.
func (b *budget) Put(buffer *[]byte) {
	if size := cap(*buffer); !mem.IsBelowBufferPoolingThreshold(size) {
		b.held.Add(-int64(size))
	}
	b.BufferPool.Put(buffer)
}

// came is whether the first request of a call has come, or the call has ended.
type came struct{}

// TagRPC implements stats.Handler.
func (*budget) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, came{}, new(atomic.Bool))
}

// HandleRPC implements stats.Handler.
func (b *budget) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.Begin:
		b.coming.Add(1)
	case *stats.InPayload, *stats.End:
		if before, ok := ctx.Value(came{}).(*atomic.Bool); ok && !before.Swap(true) && b.coming.Add(-1) == 0 {
			b.held.Store(0)
		}
	}
}

// TagConn implements stats.Handler.
func (*budget) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*budget) HandleConn(context.Context, stats.ConnStats) {}
