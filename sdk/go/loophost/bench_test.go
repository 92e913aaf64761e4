package loophost_test

import (
	"context"
	"testing"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// BenchmarkUnary calls an object through its gate: in the host, where the boundary's own cost shows, and in a process.
func BenchmarkUnary(b *testing.B) {
	for _, m := range []mode{inProcess, outOfProcess} {
		b.Run(string(m), func(b *testing.B) {
			r, err := loophost.New(loophost.Settings{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { r.Close(context.Background()) })
			p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, settings(m, "fake"))
			if err != nil {
				b.Fatal(err)
			}
			provider := providerOf(newChain(r, p, ""))
			request := &relayerv1.LatestBlockHeightRequest{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := provider.LatestBlockHeight(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
