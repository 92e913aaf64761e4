package solana_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// binary is the Solana chain of the devnet: a real virtual machine with programs that keep to the deployed ones'
// formats.
const binary = "../../bin/solana-devchain"

// devchain is such a chain with its feeds.
type devchain struct {
	t     *testing.T
	stdin io.Writer
	out   *json.Decoder

	Nodes   []devnode `json:"nodes"`
	Admin   string    `json:"admin_url"`
	Program string    `json:"ocr2_program_id"`
	Store   string    `json:"store_program_id"`
	Feeds   []devfeed `json:"feeds"`
	F       int       `json:"f"`
	Oracles []struct {
		Signer      string     `json:"signer_private_key"`
		Transmitter privateKey `json:"transmitter_private_key"`
	} `json:"oracles"`
}

// privateKey is one in base58.
type privateKey struct{ sol.PrivateKey }

func (k *privateKey) UnmarshalText(text []byte) (err error) {
	k.PrivateKey, err = sol.PrivateKeyFromBase58(string(text))
	return err
}

type devnode struct {
	RPC string `json:"rpc_url"`
	WS  string `json:"ws_url"`
}

type devfeed struct {
	State         sol.PublicKey `json:"state"`
	Transmissions sol.PublicKey `json:"transmissions"`
	Digest        string        `json:"config_digest"`
	Count         uint64        `json:"config_count"`
}

func newDevchain(t *testing.T, args ...string) *devchain {
	t.Helper()
	d := &devchain{t: t}
	chain := relayertest.StartDevchain(t, d, binary, append([]string{"--slot-time", "100ms"}, args...)...)
	d.stdin, d.out = chain.Stdin, chain.Stdout
	c := d.client()
	for _, feed := range d.Feeds { // what a relayer reads is confirmed a slot or two after it is announced
		eventually(t, "the feed's configuration is confirmed", func() bool {
			state, err := c.GetAccountInfoWithOpts(t.Context(), feed.State,
				&rpc.GetAccountInfoOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
			if err != nil {
				return false
			}
			head, err := ocr2.ParseHead(state.Value.Data.GetBinary())
			return err == nil && hex.EncodeToString(head.ConfigDigest[:]) == feed.Digest
		})
	}
	return d
}

// admin calls a method that a validator does not have.
func (d *devchain) admin(method string, params ...any) {
	d.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	must(d.t, err)
	response, err := http.Post(d.Admin, "application/json", bytes.NewReader(body))
	must(d.t, err)
	defer response.Body.Close()
	var reply struct{ Error any }
	must(d.t, json.NewDecoder(response.Body).Decode(&reply))
	if reply.Error != nil {
		d.t.Fatalf("%s: %v", method, reply.Error)
	}
}

// client asks the node that never fails.
func (d *devchain) client() *rpc.Client {
	c := rpc.New(d.Admin)
	d.t.Cleanup(func() { _ = c.Close() })
	return c
}

// configure configures a feed again.
func (d *devchain) configure(feed int) {
	d.t.Helper()
	_, err := fmt.Fprintf(d.stdin, "configure %d\n", feed)
	must(d.t, err)
	must(d.t, d.out.Decode(&d.Feeds[feed]))
}

// latest is what a feed's contract and its ring hold now, read without the relayer's code.
func (d *devchain) latest(feed int) (epoch uint32, answer int64, round uint32) {
	d.t.Helper()
	c := d.client()
	state, err := c.GetAccountInfoWithOpts(context.Background(), d.Feeds[feed].State,
		&rpc.GetAccountInfoOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentProcessed})
	must(d.t, err)
	head, err := ocr2.ParseHead(state.Value.Data.GetBinary())
	must(d.t, err)
	ring, err := c.GetAccountInfoWithOpts(context.Background(), d.Feeds[feed].Transmissions,
		&rpc.GetAccountInfoOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentProcessed})
	must(d.t, err)
	header, record, err := ocr2.ParseLatest(ring.Value.Data.GetBinary())
	must(d.t, err)
	return head.Epoch, record.Answer.Int64(), header.LatestRoundID
}

// landed counts the transactions of an account's that are in blocks, by whether they succeeded.
func (d *devchain) landed(account sol.PublicKey) (succeeded, failed int) {
	d.t.Helper()
	all, err := d.client().GetSignaturesForAddressWithOpts(context.Background(), account,
		&rpc.GetSignaturesForAddressOpts{Commitment: rpc.CommitmentConfirmed})
	must(d.t, err)
	for _, s := range all {
		tx, err := d.client().GetTransaction(context.Background(), s.Signature,
			&rpc.GetTransactionOpts{Encoding: sol.EncodingBase64, Commitment: rpc.CommitmentConfirmed})
		if errors.Is(err, rpc.ErrNotFound) {
			continue // an airdrop is not a transaction here
		}
		must(d.t, err)
		parsed, err := tx.Transaction.GetTransaction()
		must(d.t, err)
		if payer := parsed.Message.AccountKeys[0]; payer != account || len(parsed.Message.Instructions) != 3 {
			continue // how it was funded
		}
		if s.Err == nil {
			succeeded++
		} else {
			failed++
		}
	}
	return succeeded, failed
}

// report makes what libocr hands to Transmit.
func (d *devchain) report(feed int, epoch uint32, round uint8, answer int64) *relayerv1.TransmitRequest {
	d.t.Helper()
	var observations []ocr2.Observation
	for i := range d.Oracles {
		observations = append(observations,
			ocr2.Observation{Time: 1_700_000_000 + epoch, Value: big.NewInt(answer), JuelsPerFeeCoin: big.NewInt(1),
				Observer: uint8(i)})
	}
	report, err := ocr2.BuildReport(observations)
	must(d.t, err)
	digest, err := hex.DecodeString(d.Feeds[feed].Digest)
	must(d.t, err)
	text := append([]byte{byte(len(report))}, report...)
	text = append(append(text, digest...), make([]byte, 27)...)
	text = append(text, byte(epoch>>24), byte(epoch>>16), byte(epoch>>8), byte(epoch), round)
	hash := sha256.Sum256(append(text, make([]byte, 32)...))
	request := &relayerv1.TransmitRequest{
		ReportContext: &reportingv1.ReportContext{
			Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: digest, Epoch: epoch, Round: uint32(round)},
			ExtraHash: make([]byte, 32),
		},
		Report: report,
	}
	for i := range d.F + 1 {
		secret, err := hex.DecodeString(d.Oracles[i].Signer)
		must(d.t, err)
		compact := ecdsa.SignCompact(secp256k1.PrivKeyFromBytes(secret), hash[:], false) // 27 + recovery id, r, s
		request.Signatures = append(request.Signatures,
			&relayerv1.AttributedOnchainSignature{Signature: append(compact[1:], compact[0]-27), Signer: uint32(i)})
	}
	return request
}

// fixture is a relayer with what a host would lend it.
type fixture struct{ *relayertest.Fixture }

func newFixture(t *testing.T, keys ...sol.PrivateKey) *fixture {
	k := relayertest.Keystore{}
	for _, key := range keys {
		k[key.PublicKey().String()] = func(data []byte) ([]byte, error) {
			return ed25519.Sign(ed25519.PrivateKey(key), data), nil
		}
	}
	return &fixture{relayertest.NewFixture(t, k, solana.SigningCheck,
		func(l *slog.Logger, r prometheus.Registerer) relayerv1loop.RelayerService {
			return solana.New(solana.Settings{Logger: l, Registerer: r})
		})}
}

// chain makes a chain; the test's end closes it, unless stop did.
func (f *fixture) chain(config string) (chain relayerv1loop.Chain, stop func()) {
	return f.Chain("localnet", config)
}

func (d *devchain) relayConfig(feed int) []byte {
	return fmt.Appendf(nil,
		`{"chainID":"localnet","ocr2ProgramID":%q,"storeProgramID":%q,"transmissionsID":%q,"nodeEndpointHTTP":"http://old"}`,
		d.Program, d.Store, d.Feeds[feed].Transmissions)
}

// provider makes a median provider; the test's end closes it before the chain, unless stop did.
func (f *fixture) provider(d *devchain, chain relayerv1loop.Chain, name string, feed int,
	transmitter sol.PublicKey) (provider relayerv1loop.Provider, stop func()) {
	return f.Provider(chain, d.job(name, feed, transmitter))
}

// job is how a median job asks for its provider.
func (d *devchain) job(name string, feed int, transmitter sol.PublicKey) *relayerv1.CreateProviderRequest {
	return &relayerv1.CreateProviderRequest{
		ProviderType: "median", Name: name, TransmitterId: transmitter.String(),
		Config: &relayerv1.ProviderConfig{ExternalJobId: "job", ContractId: d.Feeds[feed].State.String(),
			RelayConfigJson: d.relayConfig(feed)},
	}
}

// endings counts the transmissions that ended, by how.
func (f *fixture) endings() map[string]float64 {
	return f.Gathered("loop_relayer_transmissions_total", "ending")
}

const quick = `
ChainID = 'localnet'
OCR2CachePollPeriod = '100ms'
ConfirmPollPeriod = '50ms'
BalancePollPeriod = '100ms'
TxTimeout = '30s'
TxRetryPeriod = '300ms'
`

// settings is a chain's section with nodes named n0, n1, ….
func settings(extra string, nodes ...devnode) string {
	text := quick + extra
	for i, n := range nodes {
		text += fmt.Sprintf("\n[[Nodes]]\nName = 'n%d'\nURL = '%s'\nWSURL = '%s'\n", i, n.RPC, n.WS)
	}
	return text
}

// answer is what the cache shows of a feed.
func answer(ctx context.Context, p relayerv1loop.Provider) (epoch uint32, value int64, err error) {
	r, err := p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return 0, 0, err
	}
	return r.GetTimestamp().GetEpoch(), wire.Int(r.GetLatestAnswer()).Int64(), nil
}

func observationTime(epoch uint32) *timestamppb.Timestamp {
	return timestamppb.New(time.Unix(1_700_000_000+int64(epoch), 0))
}

var must, eventually = relayertest.Must, relayertest.Eventually
