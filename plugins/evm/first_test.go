package evm_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestFirstCallsWait holds that a relayer which has just started fails nobody's call while its node still answers for the first
// time, and that whoever cannot wait hears which node it is.
func TestFirstCallsWait(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	x := newFixture(t)
	server := relayertest.NewServer(t, d.url)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(settings("", [2]string{server.WSURL, server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	calls := map[string]func(ctx context.Context) error{
		"LatestConfigDetails": func(ctx context.Context) error { _, err := p.LatestConfigDetails(ctx, nil); return err },
		"LatestBlockHeight":   func(ctx context.Context) error { _, err := p.LatestBlockHeight(ctx, nil); return err },
		"LatestConfigDigestAndEpoch": func(ctx context.Context) error {
			_, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err
		},
		"LatestTransmissionDetails": func(ctx context.Context) error {
			_, err := p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
			return err
		},
		"LatestRoundRequested": func(ctx context.Context) error {
			_, err := p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)})
			return err
		},
	}
	var calling sync.WaitGroup
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, call := range calls {
		calling.Go(func() {
			if err := call(short); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "has not been read yet: no RPC node serves: n0 ") {
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
