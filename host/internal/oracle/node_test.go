package oracle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// fakeRelay is the relay of the fake contract.
const fakeRelay = "fake"

// fakeSchemes are how the fake says that its reports are signed.
func fakeSchemes() map[string]keystore.Algorithm {
	return map[string]keystore.Algorithm{"plain": keystore.Secp256k1}
}

// fakeChecks is what a relayer of the fake contract says of jobs: accounts are written in small letters.
type fakeChecks struct{}

func (fakeChecks) Relays() []string { return []string{fakeRelay} }

func (fakeChecks) ReadsContracts(string) bool { return false }

func (fakeChecks) ValidateJob(_ context.Context, _ string,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	account := strings.ToLower(r.GetTransmitterId())
	return &relayerv1.ValidateJobResponse{
		RelayConfigJson: r.GetRelayConfigJson(), ContractKey: r.GetContractId(), TransmitterKey: account,
		FromAccount: account,
	}, nil
}

// contractAddress is what the tests' jobs call the fake contract.
const contractAddress = "0x5FbDB2315678afecb367f032d93F642f64180aa3"

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// logs takes a test's log lines. LOOP_TEST_LOG=1 shows them at level debug.
type logs struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func newLogger(t *testing.T) (*slog.Logger, *logs) {
	t.Helper()
	l := &logs{}
	level, out := slog.LevelInfo, io.Writer(l)
	if os.Getenv("LOOP_TEST_LOG") != "" {
		level, out = slog.LevelDebug, io.MultiWriter(l, os.Stderr)
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})), l
}

// bridges are adapters by name.
type bridges map[string]string

func (b bridges) Bridge(_ context.Context, name string) (string, error) {
	if url, ok := b[name]; ok {
		return url, nil
	}
	return "", fmt.Errorf("could not find bridge with name %q", name)
}

// testNode is a node's parts without the node.
type testNode struct {
	t         *testing.T
	logger    *slog.Logger
	logs      *logs
	handovers *Handovers
	database  *database.Database
	keys      *keystore.Keystore
	peer      *Peer
	runtime   *loophost.Runtime
	relayer   *relayerv1loophost.Relayer
	fake      *fakeRelayer // nil out of process
	chain     *relayerv1loophost.Chain
	median    *medianv1loophost.Median
	product   *productv1loophost.Product
	watch     *Watch
	runner    *pipeline.Runner
	config    *config.Config
	address   string
	price     *price
}

// price is an adapter whose answer tests set.
type price struct {
	*httptest.Server
	mu     sync.Mutex
	value  string
	bodies []string
}

func newPrice(t *testing.T, value string) *price {
	p := &price{value: value}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bodies = append(p.bodies, string(body))
		fmt.Fprintf(w, `{"result": %q}`, p.value)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *price) set(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.value = value
}

// nodeSettings say what a test node runs; the zero value: the fake relayer and the real median in a process.
type nodeSettings struct {
	contract    *aggregator
	relayerMode string // runs the fake relayer in a process of its own
	inProcess   loop.Plugin
	medianMode  string // runs the fake median in a process of its own
	noPeer      bool
}

// newKeys makes a node's identity.
func newKeys(t *testing.T) (*database.Database, *keystore.Keystore) {
	t.Helper()
	d, err := database.Open(t.Context(), database.Settings{Path: filepath.Join(t.TempDir(), "loop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	keys, err := keystore.Open(t.Context(),
		keystore.Settings{Store: d, Password: keystore.NewPassword("correct horse battery staple"),
			Scrypt: keystore.Scrypt{N: 2, R: 1, P: 1}})
	if err == nil {
		err = d.SealWith(t.Context(), keys)
	}
	if err == nil {
		err = keys.EnsureDefaults(t.Context(), keystore.Wanted{
			Relay: fakeRelay, Account: keystore.Secp256k1, Report: keystore.Secp256k1,
			Name: func(_ context.Context, key []byte) (string, error) { return fmt.Sprintf("account-%x", key[1:9]), nil },
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, keys
}

func newNode(t *testing.T, s nodeSettings) *testNode {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n := &testNode{t: t, config: config.Default(), price: newPrice(t, "100")}
	n.logger, n.logs = newLogger(t)
	n.handovers = NewHandovers(n.logger)
	t.Cleanup(n.handovers.Close)
	var err error
	n.database, n.keys = newKeys(t)
	if !s.noPeer {
		n.address = ports.Address(t)
		n.config.P2P.V2.ListenAddresses = []string{n.address}
		n.config.P2P.V2.DeltaDial = document.Lasting(50 * time.Millisecond)
		n.config.P2P.V2.DeltaReconcile = document.Lasting(100 * time.Millisecond)
		n.peer, err = NewPeer(PeerSettings{Config: n.config.P2P, Keys: n.keys, Database: n.database, Logger: n.logger})
		must(err)
		t.Cleanup(func() { _ = n.peer.Close() })
	}
	n.config.OCR2.ContractPollInterval = document.Lasting(time.Second)
	n.config.OCR2.ContractConfirmations = 1
	n.runner, err = pipeline.NewRunner(pipeline.Settings{Bridges: bridges{"price": n.price.URL}})
	must(err)
	t.Cleanup(n.runner.Close)
	n.runtime, err = loophost.New(loophost.Settings{Logger: n.logger, StopTimeout: 500 * time.Millisecond})
	must(err)
	t.Cleanup(func() { n.runtime.Close(context.Background()) })

	relayer := loophost.PluginSettings{Name: "fake"}
	if s.relayerMode != "" {
		relayer.Command, relayer.Env = []string{os.Args[0]}, []string{fakeMode + "=" + s.relayerMode}
		relayer.Confine.Write = []string{os.TempDir()} // tests name files in their folders
	} else {
		n.fake = &fakeRelayer{contract: s.contract}
		plugin := relayerv1loop.RelayerPlugin(func(*loop.Host) relayerv1loop.RelayerService { return n.fake })
		relayer.InProcess = &plugin
	}
	n.relayer, err = relayerv1loophost.LaunchRelayer(ctx, n.runtime, relayer)
	must(err)
	n.watch = NewWatch(n.relayer, n.logger)
	t.Cleanup(n.watch.Close)
	n.chain = n.relayer.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1337"}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(n.runtime, hostservice.NewKeystore(n.keys, fakeRelay, lenient{})),
		Store: hostservicev1loophost.ExportStore(n.runtime,
			hostservice.NewStore(n.database.Store(database.Scope{PluginKind: "fake", Chain: "1337"}))),
	})
	median := loophost.PluginSettings{Name: "median", Command: []string{os.Args[0]}}
	switch {
	case s.inProcess.New != nil:
		median.Command, median.InProcess = nil, &s.inProcess
	case s.medianMode != "":
		median.Env = []string{fakeMode + "=" + s.medianMode}
		median.Confine.Write = []string{os.TempDir()}
	}
	n.median, err = medianv1loophost.LaunchMedian(ctx, n.runtime, median)
	must(err)
	return n
}

// inProcess is a fake median inside the host.
func inProcess(m *fakeMedian) loop.Plugin {
	return medianv1loop.MedianPlugin(func(*loop.Host) medianv1loop.MedianService { return m })
}

func (n *testNode) account() string { return n.keys.Accounts(fakeRelay)[0] }

func (n *testNode) bundle() *keystore.OCR2Bundle { return n.keys.Bundles(fakeRelay)[0] }

// locator is how other nodes find this one.
func (n *testNode) locator() string { return n.peer.ID() + "@" + n.address }

// spec is a median job of the fake contract. Capital letters in the transmitter are another spelling, which the relayer
// takes.
func (n *testNode) spec(bootstrappers ...string) *job.Spec {
	n.t.Helper()
	text := fmt.Sprintf(`
type = "offchainreporting2"
schemaVersion = 1
name = "fake feed"
pluginType = "median"
relay = "fake"
contractID = %q
transmitterID = %q
ocrKeyBundleID = %q
p2pv2Bootstrappers = [%s]
allowNoBootstrappers = true
contractConfigTrackerPollInterval = "1s"
observationSource = """
ds [type=bridge name="price" requestData="{}"]
parse [type=jsonparse path="result"]
ds -> parse
"""
[relayConfig]
chainID = 1337
[pluginConfig]
juelsPerFeeCoinSource = "sum [type=sum values=<[7]>]"
`, contractAddress, strings.ToUpper(n.account()), n.bundle().ID(), quoted(bootstrappers))
	return n.parse(text)
}

func (n *testNode) parse(text string) *job.Spec {
	n.t.Helper()
	spec, report := job.Parse(n.t.Context(), []byte(text), job.Settings{OCR2: n.config.OCR2, Relayers: fakeChecks{}})
	if err := report.Err(); err != nil {
		n.t.Fatal(err)
	}
	return spec
}

func quoted(texts []string) string {
	var all []string
	for _, t := range texts {
		all = append(all, fmt.Sprintf("%q", t))
	}
	return strings.Join(all, ", ")
}

// job adds a job to the database and returns its settings.
func (n *testNode) job(spec *job.Spec) Settings {
	n.t.Helper()
	stored, err := n.database.AddJob(n.t.Context(),
		database.Job{ExternalID: fmt.Sprintf("job-%d", time.Now().UnixNano()), Spec: spec.TOML})
	if err != nil {
		n.t.Fatal(err)
	}
	return Settings{
		JobID: stored.ID, ExternalJobID: stored.ExternalID, Spec: spec, Chain: n.chain, Watch: n.watch, Median: n.median,
		Runtime:  n.runtime,
		Database: n.database, Bundle: n.bundle(), Schemes: fakeSchemes(), Peer: n.peer, Config: n.config, Pipelines: n.runner,
		Handovers: n.handovers, Logger: n.logger.With("job", stored.ID),
	}
}

// newHistory is the history of a job, in memory alone.
func newHistory(t *testing.T) *history.Job {
	t.Helper()
	j, err := history.New(history.Settings{Limits: config.Default().JobPipeline}).Job(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (n *testNode) start(s Settings) *Oracle {
	n.t.Helper()
	o, err := Start(n.t.Context(), s)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(o.Close)
	return o
}

// identities are the nodes as oracles.
func identities(nodes []*keystore.Keystore) (oracles []confighelper.OracleIdentityExtra, schedule []int) {
	for _, keys := range nodes {
		bundle := keys.Bundles(fakeRelay)[0]
		schedule = append(schedule, 1)
		oracles = append(oracles, confighelper.OracleIdentityExtra{
			OracleIdentity: confighelper.OracleIdentity{
				OffchainPublicKey: bundle.Offchain().OffchainPublicKey(),
				OnchainPublicKey:  bundle.Report().Public(),
				PeerID:            keys.P2PKeys()[0].ID(),
				TransmitAccount:   types.Account(keys.Accounts(fakeRelay)[0]),
			},
			ConfigEncryptionPublicKey: bundle.Offchain().ConfigEncryptionPublicKey(),
		})
	}
	return oracles, schedule
}

// contractConfig is a configuration of the nodes as oracles, with f = 1 and no time for queries, as most medians have
// it.
func contractConfig(t *testing.T, nodes ...*keystore.Keystore) types.ContractConfig {
	t.Helper()
	oracles, s := identities(nodes)
	onchain, err := libocr.StandardOnchainConfigCodec{}.Encode(t.Context(),
		libocr.OnchainConfig{Min: big.NewInt(1), Max: big.NewInt(1_000_000)})
	if err != nil {
		t.Fatal(err)
	}
	initialization := time.Minute
	signers, transmitters, f, onchain, version, offchain, err := confighelper.ContractSetConfigArgsForTests(
		2*time.Second, time.Second, 200*time.Millisecond, 50*time.Millisecond, 500*time.Millisecond, 20, s, oracles,
		libocr.OffchainConfig{DeltaC: time.Millisecond}.Encode(), &initialization,
		0, 600*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond, 1, onchain,
	)
	if err != nil {
		t.Fatal(err)
	}
	return types.ContractConfig{Signers: signers, Transmitters: transmitters, F: f, OnchainConfig: onchain,
		OffchainConfigVersion: version, OffchainConfig: offchain}
}

// lenient lets the fake relayer sign whatever it asks for.
type lenient struct{}

func (lenient) Judge(context.Context, *hostservicev1.SignRequest) error { return nil }
