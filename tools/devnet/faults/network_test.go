package faults

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// network is what all rows share: a chain, prices, and three nodes that are well. A feed goes on with these three,
// whatever becomes of the fourth, which is the row's.
type network struct {
	bin     string
	chain   *evm.Chain
	prices  *price.Server
	company []*node

	ordering sync.Mutex // the account that pays has one sequence of transactions

	mu        sync.Mutex
	swallowed map[common.Address]bool // contracts to which no transaction gets
}

// noQuery takes a node's own minimum time for a query away: with a contract that gives none, there are then no rounds.
const noQuery = "CL_MIN_OCR2_MAX_DURATION_QUERY=1ns"

// companions is how many nodes are well.
const companions = 3

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{bin: programs(t), swallowed: map[common.Address]bool{}}
	var err error
	if n.chain, err = evm.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.chain.Close() })
	if n.prices, err = price.Start(1, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.prices.Close() })
	for range companions {
		c := newNode(t, n.bin)
		c.config = chainConfig(newGate(t, rpc(n.chain.HTTPURL(), n.swallows)).url())
		c.environment = []string{noQuery}
		n.company = append(n.company, c)
	}
	return n
}

// chainConfig is the chain in a node's configuration, with RPC nodes at these URLs.
func chainConfig(urls ...string) string {
	text := fmt.Sprintf("\n[[EVM]]\nChainID = \"%d\"\nNoNewHeadsThreshold = \"5s\"\n", evm.ID)
	for i, url := range urls {
		text += fmt.Sprintf("\n[[EVM.Nodes]]\nName = %q\nHTTPURL = %q\n", [...]string{"primary", "backup"}[i], url)
	}
	return text
}

// swallows answers a transaction that must not get to its contract, as an RPC node that passes it on would.
func (n *network) swallows(c call) (any, bool) {
	if c.Method != "eth_sendRawTransaction" || len(c.Params) == 0 {
		return nil, false
	}
	var raw hexutil.Bytes
	var tx types.Transaction
	if errors.Join(json.Unmarshal(c.Params[0], &raw), tx.UnmarshalBinary(raw)) != nil || tx.To() == nil {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return tx.Hash(), n.swallowed[*tx.To()]
}

// keys are the public sides of a node's keys.
type keys struct {
	peer, bundle, account               string
	offchain, encryption, onchainPublic []byte
}

func keysOf(t *testing.T, n *node) keys {
	t.Helper()
	response, err := n.operator().ListKeys(t.Context(), &nodev1.ListKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var k keys
	for _, key := range response.GetKeys() {
		switch {
		case key.GetKind() == nodev1.KeyKind_KEY_KIND_P2P:
			k.peer = key.GetId()
		case key.GetKind() == nodev1.KeyKind_KEY_KIND_OCR2 && key.GetRelay() == "evm":
			k.bundle = key.GetId()
			k.offchain = key.GetOcr2().GetOffchainPublicKey()
			k.encryption = key.GetOcr2().GetConfigEncryptionPublicKey()
			k.onchainPublic = key.GetOcr2().GetOnchainPublicKey()
		case key.GetKind() == nodev1.KeyKind_KEY_KIND_ACCOUNT && key.GetRelay() == "evm":
			k.account = key.GetId()
		}
	}
	if k.account == "" || k.bundle == "" || k.peer == "" {
		t.Fatalf("the node has the keys %v", response)
	}
	return k
}

// oracle is a node in a contract's configuration.
func (k keys) oracle() evm.Oracle {
	return evm.Oracle{
		PeerID: k.peer, OffchainPublicKey: k.offchain, ConfigEncryptionPublicKey: k.encryption,
		Signer: common.BytesToAddress(k.onchainPublic), Transmitter: common.HexToAddress(k.account),
	}
}

// nobody is an oracle that no node is.
func nobody(t *testing.T) evm.Oracle {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ragetypes.PeerIDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	address := func() (a common.Address) {
		_, _ = rand.Read(a[:]) // it never fails
		return a
	}
	return evm.Oracle{
		PeerID: peer.String(), OffchainPublicKey: public, ConfigEncryptionPublicKey: encryption.PublicKey().Bytes(),
		Signer: address(), Transmitter: address(),
	}
}

// deploy makes a contract.
func (n *network) deploy(t *testing.T) *evm.Feed {
	t.Helper()
	n.ordering.Lock()
	defer n.ordering.Unlock()
	feed, err := n.chain.DeployFeed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// fund gives coins to accounts.
func (n *network) fund(t *testing.T, accounts ...common.Address) {
	t.Helper()
	n.ordering.Lock()
	defer n.ordering.Unlock()
	if err := n.chain.Fund(t.Context(), accounts...); err != nil {
		t.Fatal(err)
	}
}

// timing is that of feeds: rounds a second long are enough to see what comes of them.
var timing = evm.Timing{MaxDurationQuery: 200 * time.Millisecond}

// set tells a contract its oracles.
func (n *network) set(t *testing.T, feed *evm.Feed, timing evm.Timing, oracles ...evm.Oracle) {
	t.Helper()
	n.ordering.Lock()
	defer n.ordering.Unlock()
	if _, err := feed.Configure(t.Context(), oracles, timing, nil); err != nil {
		t.Fatal(err)
	}
}

// bootstrappers are the company, as a job spec names it.
func (n *network) bootstrappers() []string {
	var all []string
	for _, c := range n.company {
		all = append(all, c.keys.peer+"@"+c.peers)
	}
	return all
}

// startAll starts nodes at once.
func startAll(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.begin(t)
	}
	for _, n := range nodes {
		n.wait(t)
	}
}

// answer is what an adapter of a node says of the price.
func (n *network) answer(w http.ResponseWriter, who string) {
	response, err := http.Get(n.prices.PriceURL(url.PathEscape(who)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(w, response.Body) // whoever asks may have gone
}

// spec is a job's.
type spec struct {
	name     string
	contract common.Address
	// account, bundle, bridge and chain replace the right ones.
	account, bundle, bridge, chain string
	bootstrappers                  []string
	// source is the observation's pipeline behind the task that asks the bridge.
	source string
	// more are further keys.
	more string
}

// toml is the spec for a node.
func (s spec) toml(n *node) string {
	or := func(given, usual string) string {
		if given != "" {
			return given
		}
		return usual
	}
	peers := ""
	for i, b := range s.bootstrappers {
		if i > 0 {
			peers += ", "
		}
		peers += strconv.Quote(b)
	}
	return fmt.Sprintf(`type = "offchainreporting2"
schemaVersion = 1
name = %q
pluginType = "median"
relay = "evm"
contractID = %q
transmitterID = %q
ocrKeyBundleID = %q
p2pv2Bootstrappers = [%s]
contractConfigTrackerPollInterval = "1s"
contractConfigConfirmations = 1
%s
observationSource = """
ds    [type=bridge name=%q timeout="800ms"];
%s
"""

[relayConfig]
chainID = %s

[pluginConfig]
juelsPerFeeCoinSource = "one [type=sum values=<[1]>]"
`, s.name, s.contract.Hex(), or(s.account, n.keys.account), or(s.bundle, n.keys.bundle), peers, s.more,
		or(s.bridge, "prices"),
		or(s.source, `parse [type=jsonparse path="data,result"];
scale [type=multiply times=100000000];
ds -> parse -> scale;`), or(s.chain, strconv.Itoa(evm.ID)))
}

// add gives a node a job, and returns its id.
func (n *node) add(t *testing.T, s spec) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	response, err := n.operator().AddJob(ctx, &nodev1.AddJobRequest{SpecToml: s.toml(n)})
	if err != nil {
		t.Fatalf("adding a job: %v\n%s", err, s.toml(n))
	}
	return response.GetJob().GetId()
}

// another is the node's keys with an account of its own, which has funds: what becomes of its transactions touches no
// other feed.
func (s *scene) another(n *node) keys {
	s.t.Helper()
	response, err := n.operator().CreateKey(s.t.Context(),
		&nodev1.CreateKeyRequest{Kind: nodev1.KeyKind_KEY_KIND_ACCOUNT, Relay: "evm"})
	if err != nil {
		s.t.Fatal(err)
	}
	k := n.keys
	k.account = response.GetKey().GetId()
	s.fund(s.t, common.HexToAddress(k.account))
	return k
}

// remove takes a job from a node.
func (n *node) remove(t *testing.T, id int64) {
	t.Helper()
	if _, err := n.operator().RemoveJob(context.WithoutCancel(t.Context()), &nodev1.RemoveJobRequest{Id: id}); err != nil {
		t.Error(err)
	}
}

// jobs are the ids of a node's jobs.
func (n *node) jobs(t *testing.T) []int64 {
	t.Helper()
	response, err := n.operator().ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, j := range response.GetJobs() {
		ids = append(ids, j.GetId())
	}
	return ids
}

// bridge gives a node a bridge.
func (n *node) bridge(t *testing.T, name, url string) {
	t.Helper()
	request := &nodev1.AddBridgeRequest{Bridge: &nodev1.Bridge{Name: name, Url: url}}
	if _, err := n.operator().AddBridge(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}
