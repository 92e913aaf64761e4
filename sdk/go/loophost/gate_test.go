package loophost

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// answering is a connection that costs nothing.
type answering struct{ grpc.ClientConnInterface }

func (answering) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

// BenchmarkGate calls through an open gate and nothing else.
func BenchmarkGate(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	g := newGate()
	g.set(&generation{ctx: ctx, conn: answering{}}, nil, false)
	c := &gated{gate: g}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Invoke(ctx, relayerv1.ChainService_LatestHead_FullMethodName, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBegan(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, waited := newGate().wait(over, "x")
	lost := (&gated{plugin: &Plugin{name: "x"}}).unknown("y", "")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{waited, false}, {lost, true}, {status.FromContextError(over.Err()).Err(), true},
		{status.Error(codes.Unavailable, "the plugin asks for time"), false}, {status.Error(codes.Internal, "x"), false},
	} {
		if got := Began(c.err); got != c.want {
			t.Errorf("%v: %t; want %t", c.err, got, c.want)
		}
	}
}
