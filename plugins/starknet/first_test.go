package starknet_test

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
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	f.configure("a")
	x := newFixture(t)
	server := relayertest.NewServer(t, d.url)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(settings("", server.HTTPURL))
	p, _ := x.provider(chain, "p", f.address, o.accounts[0], o.transmitters[0])
	calls := map[string]func(ctx context.Context) error{
		"LatestConfigDetails":        func(ctx context.Context) error { _, err := p.LatestConfigDetails(ctx, nil); return err },
		"LatestBlockHeight":          func(ctx context.Context) error { _, err := p.LatestBlockHeight(ctx, nil); return err },
		"LatestConfigDigestAndEpoch": func(ctx context.Context) error { _, err := p.LatestConfigDigestAndEpoch(ctx, nil); return err },
		"LatestTransmissionDetails":  func(ctx context.Context) error { _, err := p.LatestTransmissionDetails(ctx, nil); return err },
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
