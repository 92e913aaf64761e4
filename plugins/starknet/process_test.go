package starknet_test

import (
	"context"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	"github.com/loop-plugins/loop/sdk/go/stark"
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

// launch runs the plugin as a process with a chain in it.
func launch(t *testing.T, x *fixture, id, config string) (*relayerv1loophost.Relayer, *relayerv1loophost.Chain) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the plugin")
	}
	binary := filepath.Join(t.TempDir(), "loop-starknet")
	build := exec.Command("go", "build", "-o", binary, "./cmd/loop-starknet")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, output)
	}
	sockets, err := os.MkdirTemp("", "l") // a test's own folder has too long a path for sockets
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	runtime, err := loophost.New(loophost.Settings{SocketDir: sockets})
	must(t, err)
	t.Cleanup(func() { runtime.Close(context.Background()) })
	plugin, err := relayerv1loophost.LaunchRelayer(t.Context(), runtime, loophost.PluginSettings{Name: "starknet", Command: []string{binary}})
	must(t, err)
	return plugin, plugin.CreateChain(&relayerv1.CreateChainRequest{ChainId: id, ConfigToml: []byte(config)}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(runtime, hostKeystore{KeystoreServiceClient: x.loans.Keystore}),
		Store:    hostservicev1loophost.ExportStore(runtime, hostStore{StoreServiceClient: x.loans.Store}),
	})
}

// TestProcess runs the plugin as a process, kills it between acceptance and confirmation, and finds each report on the chain
// once.
func TestProcess(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, key)
	ctx := t.Context()
	plugin, chain := launch(t, x, fakeChainID, settings("", d.url))
	p := chain.CreateMedianProvider(&relayerv1.CreateMedianProviderRequest{
		TransmitterId: key.Public().String(),
		Config:        &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: f.address.String(), RelayConfigJson: []byte(`{"accountAddress":"` + me.String() + `"}`)},
	})
	_, err := p.Created(ctx)
	must(t, err)
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		late := epoch%2 == 0 // half of them die with the transaction in the node's mempool, half before it is there for certain
		d.set(func() { d.hold = late })
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err = p.Transmit(bounded, f.report(digest, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if late {
			eventually(t, "the node has the transaction", func() bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				return len(d.pool) == 1
			})
		}
		must(t, syscall.Kill(plugin.Status().PID, syscall.SIGKILL))
		d.set(func() { d.hold = false })
		d.mineUntil("the report is in the contract", func() bool { e, _, _ := f.latest(); return e == epoch })
		d.mine()
		eventually(t, "the provider in the next life answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.keys()) == 0 })
	if n, landed := d.nonce(me), f.accepted(); n != epochs || landed != epochs {
		t.Errorf("%d transactions and %d reports in the contract, want %d of each", n, landed, epochs)
	}
	if _, err := chain.Replay(ctx, &relayerv1.ReplayRequest{FromBlock: 1 << 40}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	metrics, err := plugin.CollectMetrics(ctx, "text/plain")
	must(t, err)
	if text := string(metrics.GetExposition()); !strings.Contains(text, `loop_starknet_head{chain="SN_FAKE",node="n0"}`) {
		t.Errorf("the plugin's metrics: %s", text)
	}
	must(t, p.Release(ctx))
	must(t, chain.Release(ctx))
}

// TestDevchainProcess does the same on the network that was not written with this relayer: processes die with a report in the Store
// alone, and with its transaction on its way.
func TestDevchainProcess(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "")
	me, feed := d.Oracles[0], d.Feeds[0]
	digest, err := hex.DecodeString(strings.TrimPrefix(feed.Digest, "0x"))
	must(t, err)
	x := newFixture(t, me.Transmitter.Key)
	ctx := t.Context()
	plugin, chain := launch(t, x, d.ChainID, d.settings("", d.Nodes[0]))
	p := chain.CreateMedianProvider(&relayerv1.CreateMedianProviderRequest{
		TransmitterId: me.Transmitter.Public().String(),
		Config:        &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: feed.Address.String(), RelayConfigJson: []byte(`{"accountAddress":"` + me.Account.String() + `"}`)},
	})
	_, err = p.Created(ctx)
	must(t, err)
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		late := epoch%2 == 0 // with the transaction on its way
		d.admin(nil, "loop_hold", late)
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err = p.Transmit(bounded, report(t, []*stark.Key{d.Oracles[0].Signer.Key, d.Oracles[1].Signer.Key}, [32]byte(digest), epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if late {
			eventually(t, "a transaction is signed", func() bool {
				return slices.ContainsFunc(x.keys(), func(key string) bool { return strings.Contains(key, "/flight/") })
			})
		}
		must(t, syscall.Kill(plugin.Status().PID, syscall.SIGKILL))
		d.admin(nil, "loop_hold", false)
		eventually(t, "the report is in the contract, and the provider in the next life shows it", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	eventually(t, "the store is empty", func() bool { return len(x.keys()) == 0 })
	for at, times := range d.landed(feed.Address) {
		if times != 1 {
			t.Errorf("epoch %d landed %d times", at>>8, times)
		}
	}
	if landed := len(d.landed(feed.Address)); landed != epochs {
		t.Errorf("%d reports landed, want %d", landed, epochs)
	}
	must(t, p.Release(ctx))
	must(t, chain.Release(ctx))
}
