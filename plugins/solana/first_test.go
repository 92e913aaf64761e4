package solana_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestFirstCallsWait holds that a relayer which has just started fails nobody's call while its node still answers for the first
// time, and that whoever cannot wait hears which node it is.
func TestFirstCallsWait(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	server := relayertest.NewServer(t, d.Nodes[0].RPC)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(settings("", devnode{RPC: server.HTTPURL}))
	p, _ := x.provider(d, chain, "p", 0, d.Feeds[0].State)
	calls := map[string]func(ctx context.Context) error{
		"LatestConfigDetails":        func(ctx context.Context) error { _, err := p.LatestConfigDetails(ctx, nil); return err },
		"LatestBlockHeight":          func(ctx context.Context) error { _, err := p.LatestBlockHeight(ctx, nil); return err },
		"LatestConfigDigestAndEpoch": func(ctx context.Context) error { _, err := p.LatestConfigDigestAndEpoch(ctx, nil); return err },
		"LatestTransmissionDetails":  func(ctx context.Context) error { _, err := p.LatestTransmissionDetails(ctx, nil); return err },
		"LatestRoundRequested":       func(ctx context.Context) error { _, err := p.LatestRoundRequested(ctx, nil); return err },
	}
	var calling sync.WaitGroup
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, call := range calls {
		calling.Go(func() {
			if err := call(short); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no RPC node serves: n0 ") {
				t.Errorf("%s of a caller without time: %v", name, err)
			}
		})
	}
	calling.Wait()
	patient, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for name, call := range calls {
		calling.Go(func() {
			if err := call(patient); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	server.SetFault(relayertest.None)
	calling.Wait()
}
