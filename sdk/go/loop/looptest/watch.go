package looptest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// watching is a call of WatchContractConfigs.
type watching struct {
	told chan string // providers
	over chan error  // has the end of the call
	hang time.Duration
}

// watch opens WatchContractConfigs until ctx ends. It skips the case if the first provider's contract has no
// configuration to tell of.
func (l *generation) watch(ctx context.Context, first string) (*watching, error) {
	if err := eventually(ctx, time.Now().Add(l.bench.hang()), func() error {
		return l.call(ctx, first, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName,
			&relayerv1.LatestConfigDetailsRequest{}, &relayerv1.LatestConfigDetailsResponse{})
	}); err != nil {
		return nil, skip{"the contract has not answered, so that there is no configuration to tell of: " + err.Error()}
	}
	stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(l.Conn, "")).WatchContractConfigs(ctx,
		&relayerv1.WatchContractConfigsRequest{})
	if err != nil {
		return nil, wrap("RelayerService.WatchContractConfigs", err)
	}
	w := &watching{told: make(chan string, 16), over: make(chan error, 1), hang: l.bench.hang()}
	go w.read(stream)
	return w, nil
}

func (w *watching) read(stream grpc.ServerStreamingClient[relayerv1.WatchContractConfigsResponse]) {
	for {
		m, err := stream.Recv()
		if err != nil {
			w.over <- err
			return
		}
		select {
		case w.told <- m.GetProvider():
		default: // no case is about relayers that send too many
		}
	}
}

// expect waits until the plugin tells of a provider, the last of those that were made.
func (w *watching) expect(when string, made ...string) error {
	provider := made[len(made)-1]
	timeout := time.After(w.hang)
	for {
		select {
		case got := <-w.told:
			if got == provider {
				return nil
			}
			if !slices.Contains(made, got) {
				return fmt.Errorf("WatchContractConfigs told of %q, which no provider is called", got)
			}
		case err := <-w.over:
			return fmt.Errorf("WatchContractConfigs ended (%v) before it told of a provider %s", err, when)
		case <-timeout:
			return fmt.Errorf("WatchContractConfigs told nothing within %s of a provider %s", w.hang, when)
		}
	}
}

const whenOpened = "that was there when it was opened"

func relayerWatch(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	parent, first, err := l.pair(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := l.watch(limited, first)
	if err != nil {
		return err
	}
	if err := w.expect(whenOpened, first); err != nil {
		return err
	}
	second := loan.Name("Conformance")
	if _, err := l.makeChild(ctx, parent, second, true); err != nil {
		return err
	}
	if err := w.expect("that was made after it was opened", first, second); err != nil {
		return err
	}
	cancel()
	<-w.over
	return l.alive(ctx, "the end of WatchContractConfigs")
}

// relayerDrainWatching drains as a node does, which keeps its streams until Drain is answered and then hangs up. gRPC's
// servers wait for streams when they stop gracefully, and these never end by themselves.
func relayerDrainWatching(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	_, provider, err := l.pair(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := l.watch(limited, provider)
	if err != nil {
		return err
	}
	if err := w.expect(whenOpened, provider); err != nil {
		return err
	}
	begin := time.Now()
	if err := l.drain(ctx, b.within(3*time.Second)); err != nil {
		return fmt.Errorf("while WatchContractConfigs was open: %w", err)
	}
	if took := time.Since(begin); took > b.within(2*time.Second) {
		return fmt.Errorf("LifecycleService.Drain took %s while nothing but WatchContractConfigs was open; want it not to "+
			"wait for streams", took.Round(time.Millisecond))
	}
	cancel()
	return l.exitsWith0(3*time.Second, "Drain and the end of WatchContractConfigs")
}
