package starknet_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/stark"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oracles are four oracles that the test holds the keys of.
type oracles struct {
	signers, transmitters []*stark.Key
	accounts              []stark.Felt
}

func newOracles(t *testing.T) *oracles {
	t.Helper()
	o := &oracles{}
	for i := range 4 {
		o.signers, o.transmitters = append(o.signers, newKey(t)), append(o.transmitters, newKey(t))
		o.accounts = append(o.accounts, stark.FromUint64(0xacc0000+uint64(i)))
	}
	return o
}

// report makes what libocr hands to Transmit, with the signatures of the first oracles.
func report(t *testing.T, signers []*stark.Key, digest [32]byte, epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
	t.Helper()
	observations := make([]aggregator.Observation, 4)
	for i := range observations {
		observations[i] = aggregator.Observation{Seconds: 1_700_000_000, Value: big.NewInt(answer), JuelsPerFeeCoin: big.NewInt(1), GasPrice: big.NewInt(2), Observer: uint8(i)}
	}
	report, err := aggregator.BuildReport(observations)
	must(t, err)
	elements := []stark.Felt{{}, stark.FromUint64(uint64(epoch)<<8 | uint64(round)), {}}
	elements[0], err = stark.FromBytes(digest[:])
	must(t, err)
	for rest := report; len(rest) > 0; rest = rest[32:] {
		word, err := stark.FromBytes(rest[:32])
		must(t, err)
		elements = append(elements, word)
	}
	hash := stark.PedersenArray(elements...)
	request := &relayerv1.TransmitRequest{
		ReportContext: &reportingv1.ReportContext{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest[:], Epoch: epoch, Round: uint32(round)}, ExtraHash: make([]byte, 32),
		},
		Report: report,
	}
	for i := range 2 { // f+1
		signature, err := signers[i].Sign(hash)
		must(t, err)
		var encoded []byte
		for _, part := range []stark.Felt{signers[i].Public(), signature.R, signature.S} {
			b := part.Bytes()
			encoded = append(encoded, b[:]...)
		}
		request.Signatures = append(request.Signatures, &relayerv1.AttributedOnchainSignature{Signature: encoded, Signer: uint32(i)})
	}
	return request
}

func (f *feed) report(digest [32]byte, epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
	f.chain.t.Helper()
	return report(f.chain.t, f.oracles.signers, digest, epoch, round, answer)
}

// keystore is a fake of the host's: it signs with keys of the test.
type keystore map[string]*stark.Key

func newKeystore(keys ...*stark.Key) keystore {
	k := keystore{}
	for _, key := range keys {
		k[key.Public().String()] = key
	}
	return k
}

func (k keystore) ListAccounts(context.Context, *hostservicev1.ListAccountsRequest, ...grpc.CallOption) (*hostservicev1.ListAccountsResponse, error) {
	r := &hostservicev1.ListAccountsResponse{}
	for account := range k {
		r.Accounts = append(r.Accounts, account)
	}
	slices.Sort(r.Accounts)
	return r, nil
}

func (k keystore) Sign(_ context.Context, in *hostservicev1.SignRequest, _ ...grpc.CallOption) (*hostservicev1.SignResponse, error) {
	key := k[in.GetAccount()]
	if key == nil {
		return nil, status.Errorf(codes.NotFound, "account %s is not lent", in.GetAccount())
	}
	hash, err := stark.FromBytes(in.GetData())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	signature, err := key.Sign(hash)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	r, s := signature.R.Bytes(), signature.S.Bytes()
	return &hostservicev1.SignResponse{Signature: append(r[:], s[:]...)}, nil
}

// fixture is a relayer with what a host would lend it.
type fixture struct {
	t       *testing.T
	relayer *starknet.Relayer
	loans   relayerv1loop.CreateChainLoans
	metrics *prometheus.Registry
	log     *logged
}

func newFixture(t *testing.T, keys ...*stark.Key) *fixture {
	t.Helper()
	registry, log := prometheus.NewPedanticRegistry(), &logged{t: t}
	return &fixture{
		t: t, metrics: registry, log: log,
		relayer: starknet.New(starknet.Settings{Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry}),
		loans:   relayerv1loop.CreateChainLoans{Keystore: newKeystore(keys...), Store: &relayertest.Store{}},
	}
}

// chain makes a chain; the test's end closes it, unless stop did.
func (f *fixture) chain(config string) (chain relayerv1loop.Chain, stop func()) {
	f.t.Helper()
	chain, _, err := f.relayer.CreateChain(f.t.Context(), &relayerv1.CreateChainRequest{Name: "chain", ChainId: fakeChainID, ConfigToml: []byte(config)}, f.loans)
	must(f.t, err)
	stop = sync.OnceFunc(func() { must(f.t, chain.(*starknet.Chain).Close()) })
	f.t.Cleanup(stop)
	return chain, stop
}

// provider makes a median provider; the test's end closes it before the chain, unless stop did.
func (f *fixture) provider(chain relayerv1loop.Chain, name string, contract, account stark.Felt, key *stark.Key) (provider relayerv1loop.MedianProvider, stop func()) {
	f.t.Helper()
	provider, _, err := chain.CreateMedianProvider(f.t.Context(), &relayerv1.CreateMedianProviderRequest{
		Name: name, TransmitterId: key.Public().String(),
		Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: contract.String(), RelayConfigJson: []byte(fmt.Sprintf(`{"chainID":%q,"accountAddress":%q}`, fakeChainID, account))},
	})
	must(f.t, err)
	stop = sync.OnceFunc(func() { must(f.t, provider.(interface{ Close() error }).Close()) })
	f.t.Cleanup(stop)
	return provider, stop
}

// keys are those that the store holds.
func (f *fixture) keys() []string { return f.loans.Store.(*relayertest.Store).Keys() }

// settings is a chain's section with nodes named n0, n1, ….
func settings(extra string, urls ...string) string {
	text := "ChainID = '" + fakeChainID + "'\nOCR2CachePollPeriod = '50ms'\nRequestTimeout = '1s'\nConfirmationPoll = '100ms'\nFeeToken = '0x70c3'\n" + extra
	for i, u := range urls {
		text += fmt.Sprintf("\n[[Nodes]]\nName = 'n%d'\nURL = '%s'\n", i, u)
	}
	return text
}

func newKey(t *testing.T) *stark.Key {
	t.Helper()
	key, err := stark.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("within a minute not so: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// logged keeps a relayer's log, and shows it with a failed test.
type logged struct {
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *logged) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(line)
	if w.t.Context().Err() == nil { // logging after a test's end panics
		w.t.Logf("%s", line)
	}
	return len(line), nil
}

// count is how many lines hold a text.
func (w *logged) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.text.String(), text)
}
