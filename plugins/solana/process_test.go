package solana_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// hostStore serves the fake store as the host would.
type hostStore struct {
	hostservicev1.UnimplementedStoreServiceServer
	hostservicev1.StoreServiceClient
}

func (s hostStore) Read(ctx context.Context, in *hostservicev1.ReadRequest) (*hostservicev1.ReadResponse, error) {
	return s.StoreServiceClient.Read(ctx, in)
}

func (s hostStore) Put(ctx context.Context, in *hostservicev1.PutRequest) (*hostservicev1.PutResponse, error) {
	return s.StoreServiceClient.Put(ctx, in)
}

func (s hostStore) Delete(ctx context.Context, in *hostservicev1.DeleteRequest) (*hostservicev1.DeleteResponse, error) {
	return s.StoreServiceClient.Delete(ctx, in)
}

func (s hostStore) List(ctx context.Context, in *hostservicev1.ListRequest) (*hostservicev1.ListResponse, error) {
	return s.StoreServiceClient.List(ctx, in)
}

// hostKeystore serves the fake keystore as the host would.
type hostKeystore struct {
	hostservicev1.UnimplementedKeystoreServiceServer
	hostservicev1.KeystoreServiceClient
}

func (k hostKeystore) ListAccounts(ctx context.Context, in *hostservicev1.ListAccountsRequest) (*hostservicev1.ListAccountsResponse, error) {
	return k.KeystoreServiceClient.ListAccounts(ctx, in)
}

func (k hostKeystore) Sign(ctx context.Context, in *hostservicev1.SignRequest) (*hostservicev1.SignResponse, error) {
	return k.KeystoreServiceClient.Sign(ctx, in)
}

// TestProcess runs the plugin as a process, kills it between acceptance and confirmation, and finds each report on the chain
// once.
func TestProcess(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	plugged := filepath.Join(t.TempDir(), "loop-solana")
	build := exec.Command("go", "build", "-o", plugged, "./cmd/loop-solana")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, output)
	}
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	sockets, err := os.MkdirTemp("", "l") // a test's own folder has too long a path for sockets
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	runtime, err := loophost.New(loophost.Settings{SocketDir: sockets})
	must(t, err)
	t.Cleanup(func() { runtime.Close(context.Background()) })
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, runtime, loophost.PluginSettings{Name: "solana", Command: []string{plugged}})
	must(t, err)
	chain := plugin.CreateChain(&relayerv1.CreateChainRequest{ChainId: "localnet", ConfigToml: []byte(settings("", d.Nodes...))}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(runtime, hostKeystore{KeystoreServiceClient: x.loans.Keystore}),
		Store:    hostservicev1loophost.ExportStore(runtime, hostStore{StoreServiceClient: x.loans.Store}),
	})
	p := chain.CreateMedianProvider(&relayerv1.CreateMedianProviderRequest{
		TransmitterId: key.PublicKey().String(),
		Config:        &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: d.Feeds[0].State.String(), RelayConfigJson: d.relayConfig(0)},
	})
	_, err = p.Created(ctx)
	must(t, err)
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err = p.Transmit(bounded, d.report(0, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if epoch%2 == 0 { // killed once the transaction is signed, and before that at once
			eventually(t, "a transaction is signed, or through", func() bool { n := len(x.keys()); return n == 2 || n == 0 })
		}
		must(t, syscall.Kill(plugin.Status().PID, syscall.SIGKILL))
		eventually(t, "the report is in the feed", func() bool { e, _, _ := d.latest(0); return e == epoch })
		eventually(t, "the provider in the next life answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	eventually(t, "the store is empty", func() bool { return len(x.keys()) == 0 })
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != epochs || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, for %d reports", succeeded, failed, epochs)
	}
	metrics, err := plugin.CollectMetrics(ctx, "text/plain")
	must(t, err)
	if text := string(metrics.GetExposition()); !strings.Contains(text, `loop_solana_head{chain="localnet",node="n0"}`) {
		t.Errorf("the plugin's metrics: %s", text)
	}
	must(t, p.Release(ctx))
	must(t, chain.Release(ctx))
}
