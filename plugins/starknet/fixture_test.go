package starknet_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math/big"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
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
func report(t *testing.T, signers []*stark.Key, digest [32]byte, epoch uint32, round uint8,
	answer int64) *relayerv1.TransmitRequest {
	t.Helper()
	observations := make([]aggregator.Observation, 4)
	for i := range observations {
		observations[i] = aggregator.Observation{Seconds: 1_700_000_000, Value: big.NewInt(answer),
			JuelsPerFeeCoin: big.NewInt(1), GasPrice: big.NewInt(2), Observer: uint8(i)}
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
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest[:], Epoch: epoch, Round: uint32(round)},
			ExtraHash: make([]byte, 32),
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
		request.Signatures = append(request.Signatures,
			&relayerv1.AttributedOnchainSignature{Signature: encoded, Signer: uint32(i)})
	}
	return request
}

func (f *feed) report(digest [32]byte, epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
	f.chain.t.Helper()
	return report(f.chain.t, f.oracles.signers, digest, epoch, round, answer)
}

// fixture is a relayer with what a host would lend it.
type fixture struct{ *relayertest.Fixture }

func newFixture(t *testing.T, keys ...*stark.Key) *fixture {
	t.Helper()
	k := relayertest.Keystore{}
	for _, key := range keys {
		k[key.Public().String()] = func(data []byte) ([]byte, error) {
			hash, err := stark.FromBytes(data)
			if err != nil {
				return nil, err
			}
			signature, err := key.Sign(hash)
			r, s := signature.R.Bytes(), signature.S.Bytes()
			return append(r[:], s[:]...), err
		}
	}
	return &fixture{relayertest.NewFixture(t, k, starknet.SigningCheck,
		func(l *slog.Logger, r prometheus.Registerer) relayerv1loop.RelayerService {
			return starknet.New(starknet.Settings{Logger: l, Registerer: r})
		})}
}

// chain makes a chain; the test's end closes it, unless stop did.
func (f *fixture) chain(config string) (chain relayerv1loop.Chain, stop func()) {
	return f.Chain(fakeChainID, config)
}

// provider makes a median provider; the test's end closes it before the chain, unless stop did.
func (f *fixture) provider(chain relayerv1loop.Chain, name string, contract, account stark.Felt,
	key *stark.Key) (provider relayerv1loop.Provider, stop func()) {
	request := job(name, contract, account, key)
	request.Config.RelayConfigJson = fmt.Appendf(nil, `{"chainID":%q,"accountAddress":%q}`, fakeChainID, account)
	return f.Provider(chain, request)
}

// job is how a median job asks for its provider.
func job(name string, contract, account stark.Felt, key *stark.Key) *relayerv1.CreateProviderRequest {
	return &relayerv1.CreateProviderRequest{
		ProviderType: "median", Name: name, TransmitterId: key.Public().String(),
		Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: contract.String(),
			RelayConfigJson: []byte(`{"accountAddress":"` + account.String() + `"}`)},
	}
}

// ended is how many transmissions ended in that way, by the relayer's metrics.
func (f *fixture) ended(how string) float64 {
	return f.Gathered("loop_relayer_transmissions_total", "ending")[how]
}

// patient is as long as a node that is well may take on a busy machine, and impatient gives up early on one that hangs.
const patient, impatient = "RequestTimeout = '30s'\n", "RequestTimeout = '1s'\n"

// settings is a chain's section with nodes named n0, n1, ….
func settings(extra string, urls ...string) string {
	text := "ChainID = '" + fakeChainID +
		"'\nOCR2CachePollPeriod = '50ms'\n" + patient + "ConfirmationPoll = '100ms'\nFeeToken = '0x70c3'\n" + extra
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

var must, eventually = relayertest.Must, relayertest.Eventually
