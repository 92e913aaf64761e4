package loophost

import (
	"context"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
)

// Buffers that gRPC never gives back count against nobody but who has that many requests on their way at once.
func TestBudget(t *testing.T) {
	t.Parallel()
	ended := 0
	b := &budget{BufferPool: mem.DefaultBufferPool(), over: func() { ended++ }}
	call := func(bytes int) {
		ctx := b.TagRPC(context.Background(), nil)
		b.HandleRPC(ctx, &stats.Begin{})
		for ; bytes > 0; bytes -= 16 << 10 {
			b.Get(min(bytes, 16<<10)) // and it is not given back
		}
		b.HandleRPC(ctx, &stats.InPayload{})
		b.HandleRPC(ctx, &stats.End{})
	}
	for range 100 {
		call(16 << 20)
	}
	for range 300_000 {
		b.Get(100)
	}
	waiting := b.TagRPC(context.Background(), nil)
	b.HandleRPC(waiting, &stats.Begin{})
	if ended != 0 {
		t.Fatal("it is over its budget with one request after another")
	}
	call(16 << 20)
	call(3 << 20)
	if ended != 0 {
		t.Error("it is over its budget with less than that")
	}
	call(2 << 20)
	if ended == 0 {
		t.Error("it is not over its budget with more than that")
	}
}
