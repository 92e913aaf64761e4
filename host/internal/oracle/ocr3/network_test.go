package ocr3

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/networking"
	ocr "github.com/smartcontractkit/libocr/offchainreporting2plus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
	"golang.org/x/crypto/curve25519"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
)

// member is a node of a network without the node: libocr's oracle over its own peer-to-peer network, a product in a
// process of its own, a database on disk, and keys. It is its own keyring, and signs for a contract that is not there.
type member struct {
	id       int
	network  *network
	peer, on ed25519.PrivateKey // in the network, and of the oracle
	secret   [curve25519.ScalarSize]byte
	address  string
	path     string
	parts    *parts

	stop []func() error
}

// network is four of them, and what their contract would have seen.
type network struct {
	t       *testing.T
	members []*member
	config  types.ContractConfig

	mu          sync.Mutex
	transmitted map[uint64]map[string]bool // reports by seqNr
	problems    []string
}

// peerKey is who a member is in the network.
type peerKey struct{ ed25519.PrivateKey }

func (k peerKey) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.PrivateKey, msg), nil }

func (k peerKey) PublicKey() ragetypes.PeerPublicKey {
	return ragetypes.PeerPublicKey(k.Public().(ed25519.PublicKey))
}

func (m *member) OffchainSign(msg []byte) ([]byte, error) { return ed25519.Sign(m.on, msg), nil }

func (m *member) ConfigDiffieHellman(point [curve25519.PointSize]byte) (shared [curve25519.PointSize]byte, err error) {
	b, err := curve25519.X25519(m.secret[:], point[:])
	copy(shared[:], b)
	return shared, err
}

func (m *member) OffchainPublicKey() types.OffchainPublicKey {
	return types.OffchainPublicKey(m.on.Public().(ed25519.PublicKey))
}

func (m *member) ConfigEncryptionPublicKey() (key types.ConfigEncryptionPublicKey) {
	b, err := curve25519.X25519(m.secret[:], curve25519.Basepoint)
	if err != nil {
		m.network.t.Error(err)
	}
	copy(key[:], b)
	return key
}

func signed(digest types.ConfigDigest, seqNr uint64, r ocr3types.ReportWithInfo[Info]) []byte {
	h := sha256.Sum256(append(binary.BigEndian.AppendUint64(digest[:], seqNr), r.Report...))
	return h[:]
}

func (m *member) PublicKey() types.OnchainPublicKey {
	return types.OnchainPublicKey(m.on.Public().(ed25519.PublicKey))
}

func (m *member) Sign(digest types.ConfigDigest, seqNr uint64, r ocr3types.ReportWithInfo[Info]) ([]byte, error) {
	return ed25519.Sign(m.on, signed(digest, seqNr, r)), nil
}

func (m *member) Verify(key types.OnchainPublicKey, digest types.ConfigDigest, seqNr uint64,
	r ocr3types.ReportWithInfo[Info], signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(key), signed(digest, seqNr, r), signature)
}

func (m *member) MaxSignatureLength() int { return ed25519.SignatureSize }

func (m *member) Transmit(_ context.Context, digest types.ConfigDigest, seqNr uint64, r ocr3types.ReportWithInfo[Info],
	signatures []types.AttributedOnchainSignature) error {
	n := m.network
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range signatures {
		if !m.Verify(n.config.Signers[s.Signer], digest, seqNr, r, s.Signature) {
			n.problems = append(n.problems, fmt.Sprintf("seqNr %d: the signature of oracle %d is wrong", seqNr, s.Signer))
		}
	}
	if len(signatures) <= int(n.config.F) {
		n.problems = append(n.problems, fmt.Sprintf("seqNr %d: %d signatures", seqNr, len(signatures)))
	}
	if n.transmitted[seqNr] == nil {
		n.transmitted[seqNr] = map[string]bool{}
	}
	n.transmitted[seqNr][string(r.Report)] = true
	return nil
}

func (m *member) FromAccount(context.Context) (types.Account, error) { return m.account(), nil }

func (m *member) account() types.Account { return types.Account(fmt.Sprint("account ", m.id)) }

func (n *network) Notify() <-chan struct{} { return nil }

func (n *network) LatestConfigDetails(context.Context) (uint64, types.ConfigDigest, error) {
	return 1, n.config.ConfigDigest, nil
}

func (n *network) LatestConfig(context.Context, uint64) (types.ContractConfig, error) {
	return n.config, nil
}

func (n *network) LatestBlockHeight(context.Context) (uint64, error) { return 100, nil }

func (n *network) ConfigDigest(context.Context, types.ContractConfig) (types.ConfigDigest, error) {
	return testDigest, nil
}

func (n *network) ConfigDigestPrefix(context.Context) (types.ConfigDigestPrefix, error) {
	return 1, nil
}

// lines drops libocr's log lines.
type lines struct{}

func (lines) Trace(string, commontypes.LogFields)    {}
func (lines) Debug(string, commontypes.LogFields)    {}
func (lines) Info(string, commontypes.LogFields)     {}
func (lines) Warn(string, commontypes.LogFields)     {}
func (lines) Error(string, commontypes.LogFields)    {}
func (lines) Critical(string, commontypes.LogFields) {}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, transmitted: map[uint64]map[string]bool{}}
	var identities []confighelper.OracleIdentityExtra
	free, release, err := ports.Claim(4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	for id := range 4 {
		m := &member{id: id, network: n, path: filepath.Join(t.TempDir(), "loop.db"), parts: newParts(t, "process ")}
		var err error
		if _, m.peer, err = ed25519.GenerateKey(rand.Reader); err == nil {
			_, m.on, err = ed25519.GenerateKey(rand.Reader)
		}
		if err == nil {
			_, err = rand.Read(m.secret[:])
		}
		if err != nil {
			t.Fatal(err)
		}
		m.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(free[id]))
		peerID, err := ragetypes.PeerIDFromPrivateKey(m.peer)
		if err != nil {
			t.Fatal(err)
		}
		identities = append(identities, confighelper.OracleIdentityExtra{
			OracleIdentity: confighelper.OracleIdentity{
				OffchainPublicKey: m.OffchainPublicKey(), OnchainPublicKey: m.PublicKey(), PeerID: peerID.String(),
				TransmitAccount: m.account(),
			},
			ConfigEncryptionPublicKey: m.ConfigEncryptionPublicKey(),
		})
		n.members = append(n.members, m)
	}
	initialization := 10 * time.Second
	signers, transmitters, f, onchain, version, offchain, err := ocr3confighelper.ContractSetConfigArgsForTests(
		2*time.Second, time.Second, 200*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond, 500*time.Millisecond,
		500*time.Millisecond,
		20, []int{4}, identities, nil, &initialization, 0, 300*time.Millisecond, 0, 0, 1, nil,
	)
	if err != nil {
		t.Fatal(err)
	}
	n.config = types.ContractConfig{ConfigDigest: testDigest, ConfigCount: 1, Signers: signers, Transmitters: transmitters,
		F: f, OnchainConfig: onchain, OffchainConfigVersion: version, OffchainConfig: offchain}
	t.Cleanup(n.close)
	return n
}

func (n *network) start() {
	n.t.Helper()
	var locators []commontypes.BootstrapperLocator
	for _, m := range n.members {
		id, err := ragetypes.PeerIDFromPrivateKey(m.peer)
		if err != nil {
			n.t.Fatal(err)
		}
		locators = append(locators, commontypes.BootstrapperLocator{PeerID: id.String(), Addrs: []string{m.address}})
	}
	for i, m := range n.members {
		d, err := database.Open(n.t.Context(), database.Settings{Path: m.path})
		if err != nil {
			n.t.Fatal(err)
		}
		m.stop = append(m.stop, d.Close)
		if jobs, err := d.Jobs(n.t.Context()); err != nil || len(jobs) == 0 {
			if _, err := d.AddJob(n.t.Context(), database.Job{ExternalID: "a"}); err != nil {
				n.t.Fatal(err)
			}
		}
		peer, err := networking.NewPeer(networking.PeerConfig{
			PeerKeyring: peerKey{m.peer}, Logger: lines{}, V2ListenAddresses: []string{m.address},
			V2DeltaReconcile: 100 * time.Millisecond,
			V2DeltaDial:      50 * time.Millisecond, V2DiscovererDatabase: d.Announcements(locators[i].PeerID),
			V2EndpointConfig:  networking.EndpointConfigV2{IncomingMessageBufferSize: 50, OutgoingMessageBufferSize: 50},
			MetricsRegisterer: prometheus.NewRegistry(),
		})
		if err != nil {
			n.t.Fatal(err)
		}
		m.stop = append(m.stop, peer.Close)
		m.parts.factory.settings.Answers = d.OCR3(1)
		oracle, err := ocr.NewOracle(ocr.OCR3OracleArgs[Info]{
			BinaryNetworkEndpointFactory: peer.OCR2BinaryNetworkEndpointFactory(), V2Bootstrappers: locators,
			ContractConfigTracker: n, ContractTransmitter: m, Database: d.OCR3(1), Logger: lines{},
			MetricsRegisterer: prometheus.NewRegistry(), OffchainConfigDigester: n, OffchainKeyring: m, OnchainKeyring: m,
			ReportingPluginFactory: m.parts.factory,
			LocalConfig: types.LocalConfig{
				BlockchainTimeout: 5 * time.Second, ContractConfigConfirmations: 1, ContractConfigTrackerPollInterval: time.Second,
				ContractConfigLoadTimeout: 5 * time.Second, ContractTransmitterTransmitTimeout: 5 * time.Second,
				DatabaseTimeout: 5 * time.Second, DefaultMaxDurationInitialization: 10 * time.Second,
			},
		})
		if err == nil {
			err = oracle.Start()
		}
		if err != nil {
			n.t.Fatal(err)
		}
		m.stop = append(m.stop, oracle.Close)
	}
}

func (n *network) close() {
	for _, m := range n.members {
		for _, stop := range slices.Backward(m.stop) {
			if err := stop(); err != nil {
				n.t.Error(err)
			}
		}
		m.stop = nil
	}
}

// seen returns the newest outcome of which a report was transmitted, and what was wrong with any.
func (n *network) seen() (newest uint64, problems []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for seqNr := range n.transmitted {
		newest = max(newest, seqNr)
	}
	return newest, slices.Clone(n.problems)
}

func (n *network) await(seqNr uint64) {
	n.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		newest, problems := n.seen()
		if len(problems) > 0 {
			n.t.Fatal(problems)
		}
		if newest >= seqNr {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("the network came to seqNr %d within two minutes; want %d", newest, seqNr)
		}
	}
}

// TestNetwork runs OCR3 itself, by libocr, under a configuration that gives decisions no time: while products are
// killed, and across the end of all nodes at once.
func TestNetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	n.start()
	n.await(5)
	for i := range 3 {
		newest, _ := n.seen()
		pid := n.members[i].parts.product.Status().PID
		if pid <= 0 { // which the kernel takes for the test's own group
			t.Fatalf("the product of member %d has no process to kill", i)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		n.await(newest + 5)
	}
	n.close()
	before, _ := n.seen()
	n.check()
	n.start()
	n.await(before + 5)
	n.close()
	if first := n.check(); first < before {
		t.Errorf("after the end of all nodes at seqNr %d the network went on with %d", before, first)
	}
}

// check compares what was transmitted with what the product computes, forgets it, and returns its oldest outcome.
func (n *network) check() (oldest uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := slices.Sorted(maps.Keys(n.transmitted))
	for _, seqNr := range all {
		// All observe the same. A report has one of the latest medians, which the outcome holds across restarts.
		for r := range n.transmitted[seqNr] {
			value := binary.BigEndian.Uint64([]byte(r)[:8])
			query := uint64(len(fmt.Sprintf("query %d", seqNr)))
			if at := binary.BigEndian.Uint64([]byte(r)[8:]); at != seqNr || value > seqNr+query || value+mediansKept <= seqNr {
				n.t.Errorf("a report of seqNr %d says %d of %d", seqNr, value, at)
			}
		}
	}
	n.transmitted = map[uint64]map[string]bool{}
	return all[0]
}
