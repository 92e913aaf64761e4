package wire_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// looking is a transport that shows its calls' contexts.
type looking func(ctx context.Context)

// Invoke implements grpc.ClientConnInterface.
func (l looking) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	l(ctx)
	return nil
}

// NewStream implements grpc.ClientConnInterface.
func (looking) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

// look makes a call whose method's own timeout is 5 s.
func look(ctx context.Context, t *testing.T, see func(context.Context)) {
	t.Helper()
	err := wire.Bind(looking(see), "an object").Invoke(ctx, medianv1.ReportCodecService_MaxReportLength_FullMethodName,
		&medianv1.MaxReportLengthRequest{N: 4}, &medianv1.MaxReportLengthResponse{MaxReportLength: 1})
	if err != nil {
		t.Fatal(err)
	}
}

// What CallOf tells and what a context of the standard library would say are the same.
func TestContextOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			timeout time.Duration // the caller's; 0: none
			want    time.Duration
		}{"the method's": {0, 5 * time.Second}, "the caller's": {time.Minute, time.Minute}} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-1")
			if tt.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				defer cancel()
			}
			var after context.Context
			look(ctx, t, func(inner context.Context) {
				call := wire.CallOf(inner)
				at, ok := inner.Deadline()
				if call.Object != "an object" || call.Caller != ctx || !ok || !at.Equal(call.Deadline) ||
					time.Until(at) != tt.want {
					t.Errorf("%s: the call is %+v, and its context's deadline in %s", name, call, time.Until(at))
				}
				md, _ := metadata.FromOutgoingContext(inner)
				if md.Get(wire.ObjectKey)[0] != "an object" || md.Get("traceparent")[0] != "00-1" {
					t.Errorf("%s: the metadata is %v", name, md)
				}
				if inner.Err() != nil {
					t.Errorf("%s: it has ended: %v", name, inner.Err())
				}
				child, cancel := context.WithCancel(inner)
				defer cancel()
				begin := time.Now()
				<-child.Done()
				if took := time.Since(begin); took != tt.want || !errors.Is(inner.Err(), context.DeadlineExceeded) ||
					!errors.Is(child.Err(), context.DeadlineExceeded) {
					t.Errorf("%s: it ended after %s with %v, and what was made of it with %v", name, took, inner.Err(), child.Err())
				}
			})
			look(t.Context(), t, func(inner context.Context) { after = inner })
			if !errors.Is(after.Err(), context.Canceled) {
				t.Errorf("%s: after the call: %v", name, after.Err())
			}
			<-after.Done()
		}
	})
}

// A context that nobody has asked for a channel knows its time all the same.
func TestContextOfACallWithoutATimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		look(t.Context(), t, func(inner context.Context) {
			time.Sleep(5*time.Second - time.Nanosecond)
			if inner.Err() != nil {
				t.Error(inner.Err())
			}
			time.Sleep(time.Nanosecond)
			if !errors.Is(inner.Err(), context.DeadlineExceeded) {
				t.Errorf("after its deadline: %v", inner.Err())
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		look(ctx, t, func(inner context.Context) {
			cancel()
			if !errors.Is(inner.Err(), context.Canceled) {
				t.Errorf("after its caller has gone: %v", inner.Err())
			}
		})
	})
}

func TestCache(t *testing.T) {
	var c wire.Cache[int, int]
	if _, ok := c.Get(1); ok {
		t.Error("it has what was not put")
	}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { c.Put(i%50, i%50) })
	}
	all.Wait()
	for i := range 50 {
		if got, ok := c.Get(i); !ok || got != i {
			t.Errorf("%d is %d, %t", i, got, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { c.Get(1) }); n != 0 {
		t.Errorf("a look allocates %v times", n)
	}
}

// A call as frames, both ends counted, allocates what its messages and its one context on either side take, and little
// more. (Over gRPC it is about 200 allocations.)
func TestAllocationsOfACall(t *testing.T) {
	cc := wire.Bind(
		overFrames(t, seam(wire.Target{Impl: fakeSource(func(context.Context) (*hostservicev1.ObserveResponse, error) {
			return answer(5), nil
		})}, sourceDesc)), "object")
	request, reply := observe(), &hostservicev1.ObserveResponse{}
	n := testing.AllocsPerRun(1000, func() {
		if err := cc.Invoke(t.Context(), hostservicev1.DataSourceService_Observe_FullMethodName, request, reply); err != nil {
			t.Fatal(err)
		}
	})
	if n > 40 {
		t.Errorf("a call allocates %v times", n)
	}
	t.Logf("a call allocates %v times", n)
}
