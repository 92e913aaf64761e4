package loophost

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Buffers that gRPC never gives back count only against a caller who has that many requests on their way at once.
func TestBudget(t *testing.T) {
	t.Parallel()
	ended := 0
	b := newBudget(func() { ended++ })
	call := func(bytes int) (buffers []*[]byte) {
		ctx := b.TagRPC(context.Background(), nil)
		b.HandleRPC(ctx, &stats.Begin{})
		for ; bytes > 0; bytes -= 16 << 10 {
			buffers = append(buffers, b.Get(min(bytes, 16<<10))) // and it is not given back
		}
		b.HandleRPC(ctx, &stats.InPayload{})
		b.HandleRPC(ctx, &stats.End{})
		return buffers
	}
	for range 100 {
		call(16 << 20)
	}
	for range 300_000 {
		b.Get(100)
	}
	late := call(16 << 20)
	for _, buffer := range late {
		b.Put(buffer)
	}
	waiting := b.TagRPC(context.Background(), nil)
	b.HandleRPC(waiting, &stats.Begin{})
	if ended != 0 {
		t.Fatal("it is over its budget with one request after another")
	}
	call(40 << 20)
	call(7 << 20)
	if ended != 0 {
		t.Error("it is over its budget with less than that")
	}
	call(2 << 20)
	if ended == 0 {
		t.Error("it is not over its budget with more than that")
	}
}

// hold is a method whose calls of more than a byte are held until they are let go, as a forwarded call that waits for
// its plugin may be.
const hold = "/loop.test.v1.Held/Hold"

// large is one whose answers have 1 MiB.
const large = "/loop.test.v1.Held/Large"

// decided is a codec that tells of each large answer when it is held or refused.
type decided struct {
	bounding
	tell chan<- struct{}
}

func (d decided) Marshal(v any) (mem.BufferSlice, error) {
	data, err := d.bounding.Marshal(v)
	if err != nil || data.Len() >= 1<<20 {
		d.tell <- struct{}{}
	}
	return data, err
}

// held serves hold and large over gRPC, to one connection. Served tells of each call that is held, and of each answer
// of large.
func held(t *testing.T, forwarded bool) (cc *grpc.ClientConn, b *budget, served chan struct{}, let chan struct{}) {
	t.Helper()
	served, let = make(chan struct{}, 1000), make(chan struct{})
	b = newBudget(func() { t.Error("the plugin is killed") })
	codec := decided{bounding{wire.Codec(), b, nil}, served}
	s := grpc.NewServer(append(append(limits(), b.options()...), grpc.ForceServerCodecV2(codec),
		grpc.WaitForHandlers(true))...)
	budgeted{s, b}.RegisterService(&grpc.ServiceDesc{ServiceName: "loop.test.v1.Held", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Hold", Handler: func(_ any, ctx context.Context, dec func(any) error,
			_ grpc.UnaryServerInterceptor) (any, error) {
			in := &wire.Frame{}
			if err := dec(in); err != nil {
				return nil, err
			}
			long := in.Data.Len() > 1
			if forwarded {
				defer in.Data.Free()
			} else {
				in.Data.Free()
			}
			if long {
				served <- struct{}{}
				select {
				case <-let:
				case <-ctx.Done():
				}
			}
			return &emptypb.Empty{}, nil
		}}, {MethodName: "Large", Handler: func(_ any, _ context.Context, dec func(any) error,
			_ grpc.UnaryServerInterceptor) (any, error) {
			return wrapperspb.Bytes(make([]byte, 1<<20)), dec(&wire.Frame{})
		}}}}, struct{}{})
	listener := bufconn.Listen(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(listener); err != nil {
			t.Error(err)
		}
	}()
	cc, err := grpc.NewClient("passthrough:", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec())),
		grpc.WithStaticStreamWindowSize(64<<10)) // gRPC's own would grow until it took whole answers that nobody read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		<-done
	})
	return cc, b, served, let
}

// An honest plugin that sends much at once over gRPC waits, and is not killed; what is not answered is bounded.
func TestBudgetOfManyRequests(t *testing.T) {
	t.Parallel()
	for name, forwarded := range map[string]bool{"forwarded": true, "decoded": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cc, b, served, let := held(t, forwarded)
			call := func(size int) error {
				in := &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer(make([]byte, size))}}
				return cc.Invoke(t.Context(), hold, in, &emptypb.Empty{})
			}
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					if err := call(11 << 20); err != nil {
						t.Error(err)
					}
				})
			}
			for range 2 {
				<-served
			}
			var refused sync.WaitGroup
			for range 6 {
				refused.Go(func() {
					if err := call(wire.MaxMessageBytes); status.Code(err) != codes.ResourceExhausted {
						t.Errorf("a long request beside 22 MiB that are not answered: %v; want RESOURCE_EXHAUSTED", err)
					}
				})
			}
			refused.Wait()
			for range forSmall / smallRequest {
				all.Go(func() {
					if err := call(smallRequest); err != nil {
						t.Error(err)
					}
				})
				<-served
			}
			if err := call(2); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a small request beside 24 MiB that are not answered: %v; want RESOURCE_EXHAUSTED", err)
			}
			close(let)
			all.Wait()
			for range 3 {
				if err := call(wire.MaxMessageBytes); err != nil {
					t.Errorf("when all are answered: %v", err)
				}
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.unanswered != 0 || b.coming != 0 || b.held != 0 {
				t.Errorf("%d bytes of requests that are not answered, %d requests and %d bytes of buffers are left", b.unanswered,
					b.coming, b.held)
			}
		})
	}
}

// A request that waits behind another one that does not come ends with its caller.
func TestBudgetOfARequestThatDoesNotCome(t *testing.T) {
	t.Parallel()
	cc, b, _, _ := held(t, true)
	slow, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, hold)
	if err != nil {
		t.Fatal(err)
	}
	for len(b.turn) == 0 { // the server learns of it by itself
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	in := &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer{0}}}
	if err := cc.Invoke(ctx, hold, in, &emptypb.Empty{}); status.Code(err) != codes.Canceled {
		t.Errorf("a request behind one that does not come: %v; want CANCELLED", err)
	}
	if err := slow.CloseSend(); err != nil {
		t.Error(err)
	}
	if err := cc.Invoke(t.Context(), hold, in, &emptypb.Empty{}); err != nil {
		t.Errorf("a request behind one that has ended: %v", err)
	}
}

// Answers that a process does not read are held up to a limit, each until it is read or its call is over.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	cc, b, served, _ := held(t, true)
	const calls = 40
	ctx, cancel := context.WithCancel(t.Context())
	streams := make([]grpc.ClientStream, calls)
	for i := range streams {
		stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, large)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(&wire.Frame{}); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		streams[i] = stream
	}
	for range calls {
		<-served
	}
	var answered, refused int
	for _, stream := range streams {
		switch err := stream.RecvMsg(&wire.Frame{}); {
		case err == nil:
			answered++
		case strings.Contains(err.Error(), "read them"):
			refused++
		default:
			t.Errorf("an answer of 1 MiB: %v", err)
		}
	}
	if answered != 23 || refused != calls-23 { // each is some bytes longer than 1 MiB
		t.Errorf("of %d answers of 1 MiB that nobody read %d came and %d were refused; want 23 that came", calls, answered,
			refused)
	}
	cancel()
	unread := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.unread
	}
	for unread() > 0 {
		runtime.Gosched()
	}
}
