package oracle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

const (
	// firstReopen and longestReopen are the pauses before a stream is opened again. A plugin that was restarted is watched
	// again at once; one that refuses the stream must not be asked in a tight loop.
	firstReopen   = 50 * time.Millisecond
	longestReopen = 10 * time.Second
)

// Watcher is what a Watch follows: a relayer plugin, such as *relayerv1loophost.Relayer.
type Watcher interface {
	WatchContractConfigs(ctx context.Context, request *relayerv1.WatchContractConfigsRequest,
		options ...grpc.CallOption) (grpc.ServerStreamingClient[relayerv1.WatchContractConfigsResponse], error)
}

// Watch follows the contract configurations of one relayer plugin, over one stream for all its jobs, and tells each job
// about possible changes. It survives restarts of the plugin: libocr keeps its channel as long as its oracle runs.
type Watch struct {
	relayer Watcher
	logger  *slog.Logger
	cancel  context.CancelFunc
	ended   chan struct{}

	mu   sync.Mutex
	jobs map[string]chan struct{} // by the provider's name
}

// NewWatch opens the stream in the background. Close ends it.
func NewWatch(relayer Watcher, logger *slog.Logger) *Watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watch{relayer: relayer, logger: logger, cancel: cancel, ended: make(chan struct{}),
		jobs: map[string]chan struct{}{}}
	go w.run(ctx)
	return w
}

// Close ends the stream. It does not close channels, since libocr treats a closed one as a fault.
func (w *Watch) Close() {
	w.cancel()
	<-w.ended
}

// follow returns the channel of a provider's job. It is never closed, and holds one signal: several changes between two
// looks are one.
func (w *Watch) follow(provider string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := make(chan struct{}, 1)
	w.jobs[provider] = ch
	return ch
}

// forget ends the signals of a provider.
func (w *Watch) forget(provider string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, provider)
}

func (w *Watch) notify(provider string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch, ok := w.jobs[provider]; ok {
		signal(ch)
	}
}

// notifyAll is called when a stream was opened: nobody reports the changes from before.
func (w *Watch) notifyAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.jobs {
		signal(ch)
	}
}

func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default: // one is waiting already
	}
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.ended)
	pause := &backoff.ExponentialBackOff{InitialInterval: firstReopen, MaxInterval: longestReopen, Multiplier: 2,
		RandomizationFactor: 0.5}
	pause.Reset()
	for {
		opened := time.Now()
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		w.logger.Debug("the stream of contract configurations ended and is opened again", "error", err)
		if time.Since(opened) > longestReopen {
			pause.Reset()
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return
		}
	}
}

func (w *Watch) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.relayer.WatchContractConfigs(ctx, &relayerv1.WatchContractConfigsRequest{})
	if err != nil {
		return err
	}
	w.notifyAll()
	for {
		change, err := stream.Recv()
		if err != nil {
			return err
		}
		w.notify(change.GetProvider())
	}
}
