package loophost

import (
	"context"
	"testing"

	"google.golang.org/grpc"

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
