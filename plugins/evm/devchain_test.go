package evm_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/gethwrappers2/accesscontrolledocr2aggregator"
	"github.com/smartcontractkit/libocr/gethwrappers2/link_token_interface"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"go.uber.org/goleak"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded go-ethereum leaves these behind: the first is one pool for the process, and the second ends 30 s
		// after its database.
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		// A subscription that is asked for or ends while the chain closes waits for an event loop that has ended, ...
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/eth/filters.(*EventSystem).subscribe"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/eth/filters.(*FilterAPI).NewHeads.func1"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/eth/filters.(*FilterAPI).Logs.func1"),
		// ... and its connection for the subscription. The second runs for clients too, but there it waits for nothing:
		// nobody calls methods of a client.
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/rpc.(*Server).ServeCodec"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/rpc.(*handler).close"),
	)
}

const devChainID = 1337

// devchain is an embedded go-ethereum that serves HTTP and WebSocket on one port, or an anvil of the installation that
// LOOP_ANVIL_DIR names, with a deployer who has coins.
type devchain struct {
	t       *testing.T
	url     string
	deploys *bind.TransactOpts

	mu      sync.Mutex // commits come from several goroutines
	backend backend
}

// backend is a chain that makes a block of what the pool holds when it is told to.
type backend interface {
	Client() simulated.Client
	Commit() common.Hash
}

func newDevchain(t *testing.T, fund ...common.Address) *devchain {
	t.Helper()
	deployer := newKey(t)
	opts, err := bind.NewKeyedTransactorWithChainID(deployer, big.NewInt(devChainID))
	must(t, err)
	d := &devchain{t: t, deploys: opts}
	million := new(big.Int).Mul(big.NewInt(1e18), big.NewInt(1e6))
	rich := append(fund, opts.From)
	if dir := os.Getenv("LOOP_ANVIL_DIR"); dir != "" {
		d.backend, d.url = startAnvil(t, dir, million, rich)
	} else {
		d.backend, d.url = startGeth(t, million, rich)
	}
	d.mine()
	return d
}

func startGeth(t *testing.T, balance *big.Int, rich []common.Address) (backend, string) {
	t.Helper()
	alloc := types.GenesisAlloc{}
	for _, a := range rich {
		alloc[a] = types.Account{Balance: balance}
	}
	free, release, err := ports.Claim(1)
	must(t, err)
	t.Cleanup(release)
	port := free[0]
	backend := simulated.NewBackend(alloc, func(n *node.Config, _ *ethconfig.Config) {
		n.HTTPHost, n.HTTPPort, n.HTTPModules = "127.0.0.1", port, []string{"eth", "txpool"}
		n.WSHost, n.WSPort, n.WSModules = "127.0.0.1", port, []string{"eth"}
		n.AuthAddr, n.AuthPort = "127.0.0.1", 0
		n.IPCPath = ""
		n.P2P.MaxPeers, n.P2P.NoDial, n.P2P.ListenAddr = 0, true, ""
	})
	t.Cleanup(func() { _ = backend.Close() })
	return backend, fmt.Sprintf("http://127.0.0.1:%d", port)
}

// anvil is a second client, a process of its own that ends with the test.
type anvil struct {
	t      *testing.T
	client *ethclient.Client
}

func startAnvil(t *testing.T, dir string, balance *big.Int, rich []common.Address) (backend, string) {
	t.Helper()
	programs, err := filepath.Glob(filepath.Join(dir, "node_modules", "@foundry-rs", "anvil-*", "bin", "anvil*"))
	must(t, err)
	if len(programs) != 1 {
		t.Fatalf("%s has the programs %q, want one", dir, programs)
	}
	command := exec.Command(programs[0], "--port", "0", "--no-mining", "--chain-id", fmt.Sprint(devChainID))
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	lines := bufio.NewScanner(output)
	var url string
	for url == "" && lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "Listening on "); ok {
			url = "http://" + address
		}
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, output) // so that anvil never waits for a reader
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-read
		_ = command.Wait() // it was killed
	})
	if url == "" {
		t.Fatal("anvil ended before it served")
	}
	client, err := ethclient.Dial(url)
	must(t, err)
	t.Cleanup(func() { client.Close(); http.DefaultClient.CloseIdleConnections() })
	for _, a := range rich {
		must(t, client.Client().Call(nil, "anvil_setBalance", a, (*hexutil.Big)(balance)))
	}
	must(t, client.Client().Call(nil, "anvil_setBlockTimestampInterval", 1)) // as Ethereum's blocks; anvil's share seconds
	return anvil{t, client}, url
}

// Client implements backend.
func (a anvil) Client() simulated.Client { return a.client }

// Commit implements backend.
func (a anvil) Commit() common.Hash {
	if err := a.client.Client().Call(nil, "evm_mine"); err != nil {
		a.t.Errorf("make a block: %v", err)
	}
	return common.Hash{}
}

// mine makes a block of what the pool holds.
func (d *devchain) mine() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backend.Commit()
}

// mineWhile makes blocks until a condition holds.
func (d *devchain) mineUntil(what string, holds func() bool) {
	d.t.Helper()
	eventually(d.t, what, func() bool {
		if holds() {
			return true
		}
		d.mine()
		time.Sleep(20 * time.Millisecond) // a block a millisecond would only fill the disk of an eager chain
		return false
	})
}

func (d *devchain) client() simulated.Client { return d.backend.Client() }

// says is how the chain's client words something.
func (d *devchain) says(geth, ofAnvil string) string {
	if _, ok := d.backend.(anvil); ok {
		return ofAnvil
	}
	return geth
}

func (d *devchain) nonce(a common.Address) uint64 {
	d.t.Helper()
	n, err := d.client().NonceAt(context.Background(), a, nil)
	must(d.t, err)
	return n
}

// send runs something that sends a transaction of the deployer's, and mines it.
func (d *devchain) send(f func(*bind.TransactOpts) (*types.Transaction, error)) {
	d.t.Helper()
	tx, err := f(d.deploys)
	must(d.t, err)
	d.mine()
	receipt, err := d.client().TransactionReceipt(context.Background(), tx.Hash())
	must(d.t, err)
	if receipt.Status != types.ReceiptStatusSuccessful {
		d.t.Fatalf("a transaction of the deployer reverted")
	}
}

// fund sends coins of the deployer's.
func (d *devchain) fund(to common.Address, wei *big.Int) {
	d.t.Helper()
	d.send(func(o *bind.TransactOpts) (*types.Transaction, error) {
		ctx, client := context.Background(), d.client()
		nonce, err := client.PendingNonceAt(ctx, o.From)
		if err != nil {
			return nil, err
		}
		tx, err := o.Signer(o.From, types.NewTx(&types.DynamicFeeTx{
			ChainID: big.NewInt(devChainID), Nonce: nonce, To: &to, Value: wei, Gas: 21_000, GasFeeCap: big.NewInt(100e9),
			GasTipCap: big.NewInt(1e9),
		}))
		if err != nil {
			return nil, err
		}
		return tx, client.SendTransaction(ctx, tx)
	})
}

// transactionsOf are those of an account that are in blocks.
func (d *devchain) transactionsOf(a common.Address) (all []*types.Transaction) {
	d.t.Helper()
	newest, err := d.client().BlockNumber(context.Background())
	must(d.t, err)
	for n := uint64(0); n <= newest; n++ {
		block, err := d.client().BlockByNumber(context.Background(), new(big.Int).SetUint64(n))
		must(d.t, err)
		for _, tx := range block.Transactions() {
			if from, _ := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx); from == a {
				all = append(all, tx)
			}
		}
	}
	return all
}

// oracles are four oracles that the test holds the keys of.
type oracles struct {
	signers      []*ecdsa.PrivateKey
	transmitters []*ecdsa.PrivateKey
}

func newOracles(t *testing.T) *oracles {
	o := &oracles{}
	for range 4 {
		o.signers, o.transmitters = append(o.signers, newKey(t)), append(o.transmitters, newKey(t))
	}
	return o
}

func (o *oracles) addresses() (signers, transmitters []common.Address) {
	for i := range o.signers {
		signers = append(signers, crypto.PubkeyToAddress(o.signers[i].PublicKey))
		transmitters = append(transmitters, crypto.PubkeyToAddress(o.transmitters[i].PublicKey))
	}
	return signers, transmitters
}

// feed is a deployed aggregator.
type feed struct {
	*ocr2aggregator.OCR2Aggregator
	chain   *devchain
	oracles *oracles
	address common.Address
}

func newFeed(d *devchain, o *oracles) *feed { return newFeeds(d, o, 1)[0] }

func newFeeds(d *devchain, o *oracles, n int) (feeds []*feed) {
	d.t.Helper()
	link, _, _, err := link_token_interface.DeployLinkToken(d.deploys, d.client())
	must(d.t, err)
	d.mine()
	access, _, controller, err := accesscontrolledocr2aggregator.DeploySimpleWriteAccessController(d.deploys, d.client())
	must(d.t, err)
	d.mine()
	d.send(func(o *bind.TransactOpts) (*types.Transaction, error) { return controller.AddAccess(o, o.From) })
	for range n {
		address, _, aggregator, err := ocr2aggregator.DeployOCR2Aggregator(d.deploys, d.client(), link, big.NewInt(-1000),
			big.NewInt(1_000_000), access, access, 8, "TEST / USD")
		must(d.t, err)
		d.mine()
		feeds = append(feeds, &feed{aggregator, d, o, address})
	}
	return feeds
}

// configure sets a configuration and returns its digest.
func (f *feed) configure(offchain string) ocrtypes.ConfigDigest {
	f.chain.t.Helper()
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(context.Background(),
		median.OnchainConfig{Min: big.NewInt(-1000), Max: big.NewInt(1_000_000)})
	must(f.chain.t, err)
	signers, transmitters := f.oracles.addresses()
	f.chain.send(func(o *bind.TransactOpts) (*types.Transaction, error) {
		return f.SetConfig(o, signers, transmitters, 1, onchain, 2, []byte(offchain))
	})
	details, err := f.LatestConfigDetails(nil)
	must(f.chain.t, err)
	return details.ConfigDigest
}

func (f *feed) latest() (epoch uint32, round uint8, answer int64) {
	f.chain.t.Helper()
	d, err := f.LatestTransmissionDetails(nil)
	must(f.chain.t, err)
	return d.Epoch, d.Round, d.LatestAnswer.Int64()
}

// report makes what libocr hands to Transmit.
func (f *feed) report(digest ocrtypes.ConfigDigest, epoch uint32, round uint8,
	answer int64) *relayerv1.TransmitRequest {
	f.chain.t.Helper()
	observations := make([]median.ParsedAttributedObservation, 4)
	for i := range observations {
		observations[i] = median.ParsedAttributedObservation{
			Timestamp: 1_700_000_000, Value: big.NewInt(answer), JuelsPerFeeCoin: big.NewInt(1), GasPriceSubunits: big.NewInt(0),
			Observer: commontypes.OracleID(i),
		}
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(context.Background(), observations)
	must(f.chain.t, err)
	timestamp := ocrtypes.ReportTimestamp{ConfigDigest: digest, Epoch: epoch, Round: round}
	words := evmutil.RawReportContext(ocrtypes.ReportContext{ReportTimestamp: timestamp})
	hash := crypto.Keccak256(append(append(append(crypto.Keccak256(report), words[0][:]...), words[1][:]...),
		words[2][:]...))
	request := &relayerv1.TransmitRequest{
		ReportContext: &reportingv1.ReportContext{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest[:], Epoch: epoch, Round: uint32(round)},
			ExtraHash: make([]byte, 32),
		},
		Report: report,
	}
	for i := range 2 { // f+1
		signature, err := crypto.Sign(hash, f.oracles.signers[i])
		must(f.chain.t, err)
		request.Signatures = append(request.Signatures,
			&relayerv1.AttributedOnchainSignature{Signature: signature, Signer: uint32(i)})
	}
	return request
}

// fixture is a relayer with what a host would lend it.
type fixture struct{ *relayertest.Fixture }

func newFixture(t *testing.T, keys ...*ecdsa.PrivateKey) *fixture {
	k := relayertest.Keystore{}
	for _, key := range keys {
		k[address(key).Hex()] = func(data []byte) ([]byte, error) { return crypto.Sign(data, key) }
	}
	return &fixture{relayertest.NewFixture(t, k, evm.SigningCheck,
		func(l *slog.Logger, r prometheus.Registerer) relayerv1loop.RelayerService {
			return evm.New(evm.Settings{Logger: l, Registerer: r})
		})}
}

// chain makes a chain; the test's end closes it, unless stop did.
func (f *fixture) chain(config string) (chain relayerv1loop.Chain, stop func()) {
	return f.Chain(fmt.Sprint(devChainID), config)
}

// provider makes a median provider; the test's end closes it before the chain, unless stop did.
func (f *fixture) provider(chain relayerv1loop.Chain, name string, contract,
	transmitter common.Address) (provider relayerv1loop.Provider, stop func()) {
	return f.Provider(chain, job(name, contract, transmitter))
}

// job is how a median job asks for its provider.
func job(name string, contract, transmitter common.Address) *relayerv1.CreateProviderRequest {
	return &relayerv1.CreateProviderRequest{
		ProviderType: "median", Name: name, TransmitterId: transmitter.Hex(),
		Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: contract.Hex()},
	}
}

const quick = `
ChainID = '1337'
PollInterval = '50ms'
RequestTimeout = '30s'
FinalityDepth = 2
`

// impatient gives up early on a node that hangs. One that is well may take longer on a busy machine.
func impatient(settings string) string {
	return strings.Replace(settings, "RequestTimeout = '30s'", "RequestTimeout = '1s'", 1)
}

// settings is a chain's section with nodes named n0, n1, ….
func settings(extra string, urls ...[2]string) string {
	text := quick + extra
	for i, u := range urls {
		text += fmt.Sprintf("\n[[Nodes]]\nName = 'n%d'\nWSURL = '%s'\nHTTPURL = '%s'\n", i, u[0], u[1])
	}
	return text
}

// allServe waits until all RPC nodes of a chain serve.
func allServe(t *testing.T, chain relayerv1loop.Chain) {
	t.Helper()
	eventually(t, "all nodes serve", func() bool {
		statuses, err := chain.ListNodeStatuses(t.Context(), &relayerv1.ListNodeStatusesRequest{})
		return err == nil && !slices.ContainsFunc(statuses.GetNodes(), func(n *relayerv1.NodeStatus) bool {
			return n.GetState() != relayerv1.NodeState_NODE_STATE_ALIVE
		})
	})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.GenerateKey()
	must(t, err)
	return key
}

func address(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

var must, eventually = relayertest.Must, relayertest.Eventually
