package evm_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	if testing.Short() {
		t.Skip("builds the plugin")
	}
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "loop-evm")
	build := exec.Command("go", "build", "-o", binary, "./cmd/loop-evm")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, output)
	}
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	ctx := t.Context()
	sockets, err := os.MkdirTemp("", "l") // a test's own folder has too long a path for sockets
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	runtime, err := loophost.New(loophost.Settings{SocketDir: sockets})
	must(t, err)
	t.Cleanup(func() { runtime.Close(context.Background()) })
	plugin, err := relayerv1loophost.LaunchRelayer(ctx, runtime, loophost.PluginSettings{Name: "evm", Command: []string{binary}})
	must(t, err)
	chain := plugin.CreateChain(&relayerv1.CreateChainRequest{
		ChainId: "1337", ConfigToml: []byte(settings("", [2]string{strings.Replace(d.url, "http", "ws", 1), d.url})),
	}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(runtime, hostKeystore{KeystoreServiceClient: x.loans.Keystore}),
		Store:    hostservicev1loophost.ExportStore(runtime, hostStore{StoreServiceClient: x.loans.Store}),
	})
	p := chain.CreateMedianProvider(&relayerv1.CreateMedianProviderRequest{
		TransmitterId: me.Hex(), Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: f.address.Hex()},
	})
	_, err = p.Created(ctx)
	must(t, err)
	for epoch := uint32(1); epoch <= 3; epoch++ {
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err = p.Transmit(bounded, f.report(digest, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		must(t, syscall.Kill(plugin.Status().PID, syscall.SIGKILL))
		d.mineUntil("the report is in the contract", func() bool { e, _, _ := f.latest(); return e == epoch })
		eventually(t, "the provider in the next life answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.keys()) == 0 })
	if n := d.nonce(me); n != 3 {
		t.Errorf("%d transactions for three reports", n)
	}
	if _, err := chain.Replay(ctx, &relayerv1.ReplayRequest{FromBlock: 1 << 40}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	metrics, err := plugin.CollectMetrics(ctx, "text/plain")
	must(t, err)
	if text := string(metrics.GetExposition()); !strings.Contains(text, `loop_evm_head{chain="1337",node="n0"}`) {
		t.Errorf("the plugin's metrics: %s", text)
	}
	must(t, p.Release(ctx))
	must(t, chain.Release(ctx))
}
