package relayertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// hostStore serves the fake store as the host would.
type hostStore struct {
	hostservicev1.UnimplementedStoreServiceServer
	client hostservicev1.StoreServiceClient
}

func (s hostStore) Read(ctx context.Context, in *hostservicev1.ReadRequest) (*hostservicev1.ReadResponse, error) {
	return s.client.Read(ctx, in)
}

func (s hostStore) Put(ctx context.Context, in *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	return s.client.Put(ctx, in)
}

func (s hostStore) Delete(ctx context.Context, in *hostservicev1.DeleteRequest) (*hostservicev1.DeleteResponse, error) {
	return s.client.Delete(ctx, in)
}

func (s hostStore) List(ctx context.Context, in *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	return s.client.List(ctx, in)
}

// hostKeystore serves the fake keystore as the host would.
type hostKeystore struct {
	hostservicev1.UnimplementedKeystoreServiceServer
	client hostservicev1.KeystoreServiceClient
}

func (k hostKeystore) ListAccounts(ctx context.Context,
	in *hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return k.client.ListAccounts(ctx, in)
}

func (k hostKeystore) Sign(ctx context.Context, in *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	return k.client.Sign(ctx, in)
}

// Process is a relayer that runs as a process, with a chain in it.
type Process struct {
	Plugin *relayerv1loophost.Relayer
	Chain  *relayerv1loophost.Chain

	t     testing.TB
	judge *judge
}

// Launch builds the plugin of the package under test, ./cmd/loop-<name>, starts it as a host would and makes a chain
// with the loans of the fixture.
func (f *Fixture) Launch(name, chain, config string) *Process {
	t := f.t
	t.Helper()
	f.judge.serves([]byte(config))
	if testing.Short() {
		t.Skip("builds the plugin")
	}
	binary := filepath.Join(t.TempDir(), "loop-"+name)
	build := exec.Command("go", "build", "-o", binary, "./cmd/loop-"+name)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, output)
	}
	sockets, err := os.MkdirTemp("", "l") // a test's own folder has too long a path for sockets
	Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	runtime, err := loophost.New(loophost.Settings{SocketDir: sockets})
	Must(t, err)
	t.Cleanup(func() { runtime.Close(context.Background()) })
	plugin, err := relayerv1loophost.LaunchRelayer(t.Context(), runtime,
		loophost.PluginSettings{Name: name, Command: []string{binary}})
	Must(t, err)
	return &Process{t: t, judge: f.judge, Plugin: plugin, Chain: plugin.CreateChain(
		&relayerv1.CreateChainRequest{ChainId: chain, ConfigToml: []byte(config)},
		relayerv1loophost.CreateChainLoans{
			Keystore: hostservicev1loophost.ExportKeystore(runtime, hostKeystore{client: f.Loans.Keystore}),
			Store:    hostservicev1loophost.ExportStore(runtime, hostStore{client: f.Loans.Store}),
		},
	)}
}

// Provider makes a median provider.
func (p *Process) Provider(request *relayerv1.CreateProviderRequest) *relayerv1loophost.Provider {
	p.t.Helper()
	p.judge.knows(request)
	provider := p.Chain.CreateProvider(request)
	_, err := provider.Created(p.t.Context())
	Must(p.t, err)
	return provider
}

// Exposes checks that the process has a metric.
func (p *Process) Exposes(metric string) {
	p.t.Helper()
	metrics, err := p.Plugin.CollectMetrics(p.t.Context(), "text/plain")
	Must(p.t, err)
	if text := string(metrics.GetExposition()); !strings.Contains(text, metric) {
		p.t.Errorf("the plugin's metrics: %s", text)
	}
}
