package relayertest

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/signing"
)

// Keystore is a fake of the host's keystore. For each account that it lends, it has the signing function.
type Keystore map[string]func(data []byte) (signature []byte, err error)

// ListAccounts implements KeystoreServiceClient.
func (k Keystore) ListAccounts(context.Context, *hostservicev1.ListAccountsRequest,
	...grpc.CallOption) (*hostservicev1.ListAccountsResponse, error) {
	return &hostservicev1.ListAccountsResponse{Accounts: slices.Sorted(maps.Keys(k))}, nil
}

// Sign implements KeystoreServiceClient.
func (k Keystore) Sign(_ context.Context, in *hostservicev1.SignRequest,
	_ ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	sign := k[in.GetAccount()]
	if sign == nil {
		return nil, status.Errorf(codes.NotFound, "account %s is not lent", in.GetAccount())
	}
	signature, err := sign(in.GetData())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &hostservicev1.SignResponse{Signature: signature}, nil
}

// Fixture is a relayer with what a host would lend to it. Everything that the relayer signs for the fixture's chains
// and providers must pass the relayer's own check.
type Fixture struct {
	Relayer relayerv1loop.RelayerService
	Loans   relayerv1loop.CreateChainLoans
	Metrics *prometheus.Registry
	Log     *Log

	t     testing.TB
	store *Store
	judge *judge
}

// NewFixture makes a Fixture of the relayer that make makes, with the check that newCheck makes.
func NewFixture(t testing.TB, keys Keystore, newCheck signing.New,
	make func(*slog.Logger, prometheus.Registerer) relayerv1loop.RelayerService) *Fixture {
	f := &Fixture{t: t, Metrics: prometheus.NewPedanticRegistry(), Log: &Log{t: t}, store: &Store{}}
	f.judge = &judge{Keystore: keys, t: t, newCheck: newCheck}
	f.Relayer = make(slog.New(slog.NewTextHandler(f.Log, nil)), f.Metrics)
	f.Loans = relayerv1loop.CreateChainLoans{Keystore: f.judge, Store: f.store}
	return f
}

// Asked records transfers as asked for by the operator, so that the relayer may sign them from now on.
func (f *Fixture) Asked(transfers ...signing.Transfer) { f.judge.asked(transfers...) }

// Chain makes a chain. The end of the test closes it, unless stop did.
func (f *Fixture) Chain(id, config string) (chain relayerv1loop.Chain, stop func()) {
	f.t.Helper()
	f.judge.serves([]byte(config))
	chain, _, err := f.Relayer.CreateChain(f.t.Context(),
		&relayerv1.CreateChainRequest{Name: "chain", ChainId: id, ConfigToml: []byte(config)}, f.Loans)
	Must(f.t, err)
	return chain, f.closes(chain)
}

// Provider makes a median provider. The end of the test closes it before the chain, unless stop did.
func (f *Fixture) Provider(chain relayerv1loop.Chain,
	request *relayerv1.CreateProviderRequest) (provider relayerv1loop.Provider, stop func()) {
	f.t.Helper()
	f.judge.knows(request)
	provider, _, err := chain.CreateProvider(f.t.Context(), request)
	Must(f.t, err)
	return provider, f.closes(provider)
}

func (f *Fixture) closes(object any) (stop func()) {
	stop = sync.OnceFunc(func() { Must(f.t, object.(io.Closer).Close()) })
	f.t.Cleanup(stop)
	return stop
}

// Keys returns the keys in the store.
func (f *Fixture) Keys() []string { return f.store.Keys() }

// Gathered returns the values of a metric by one of its labels, or by "" if it has no such label.
func (f *Fixture) Gathered(metric, by string) map[string]float64 {
	f.t.Helper()
	families, err := f.Metrics.Gather()
	Must(f.t, err)
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			value := ""
			for _, label := range m.GetLabel() {
				if label.GetName() == by {
					value = label.GetValue()
				}
			}
			values[value] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// Watch watches the configurations of all contracts, as a host does, until stop.
func (f *Fixture) Watch() (configs <-chan *relayerv1.WatchContractConfigsResponse, stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	messages, ended := make(chan *relayerv1.WatchContractConfigsResponse), make(chan error, 1)
	go func() {
		ended <- f.Relayer.WatchContractConfigs(&relayerv1.WatchContractConfigsRequest{},
			stream{ctx: ctx, messages: messages})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; status.Code(err) != codes.Canceled {
			f.t.Errorf("the watch ended with %v, want CANCELED", err)
		}
	})
	f.t.Cleanup(stop)
	return messages, stop
}

// stream takes what WatchContractConfigs sends.
type stream struct {
	grpc.ServerStream
	ctx      context.Context
	messages chan *relayerv1.WatchContractConfigsResponse
}

func (s stream) Context() context.Context { return s.ctx }

func (s stream) Send(m *relayerv1.WatchContractConfigsResponse) error {
	select {
	case s.messages <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// Log keeps a relayer's log, and shows it if the test fails.
type Log struct {
	t    testing.TB
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t.Context().Err() == nil { // logging after a test's end panics
		l.t.Logf("%s", line)
	}
	return l.text.Write(line)
}

// String returns the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count returns how often the log contains a text.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits up to a minute for a condition to hold.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("within a minute not so: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
