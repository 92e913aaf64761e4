package oracle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var _ types.OnchainKeyring = (*keyring)(nil)

const (
	// keptDigests is how many reports' digests are kept. libocr verifies the signatures of one round at a time, and late
	// ones of the round before. A digest that was dropped costs another call.
	keptDigests = 16
	// again is the pause after a digest could not be had, in which it is not asked for: libocr calls from its only loop
	// for each oracle's signature, and would wait for as many deadlines.
	again = time.Second
)

// keyring signs and verifies reports. The relayer says what is signed of a report, and is asked once for each report.
type keyring struct {
	key      *keystore.ReportKey
	schemes  map[string]keystore.Algorithm // as the relayer describes them
	provider relayerv1.ReportDigestServiceClient
	logger   *logger
	feed     *feed.Recorder

	mu     sync.Mutex
	latest []*digest // the newest first
}

// digest is what is signed of a report.
type digest struct {
	at     types.ReportContext
	report string

	done      chan struct{} // closed when the rest is there
	algorithm keystore.Algorithm
	message   []byte
	err       error
	until     time.Time // with an err that another call may not have: when to ask again
}

// PublicKey implements types.OnchainKeyring.
func (k *keyring) PublicKey() types.OnchainPublicKey { return k.key.Public() }

// MaxSignatureLength implements types.OnchainKeyring.
func (k *keyring) MaxSignatureLength() int {
	longest := k.key.Algorithm().MaxSignatureLength()
	for _, algorithm := range k.schemes {
		longest = max(longest, algorithm.MaxSignatureLength())
	}
	return longest
}

// Sign implements types.OnchainKeyring. Each of this node's reports comes through here, so that a relayer that does not
// say what is signed is noted too. A digest that only Verify asks for is not: other oracles choose what it is of.
func (k *keyring) Sign(at types.ReportContext, report types.Report) ([]byte, error) {
	signature, err := k.sign(at, report)
	k.feed.Signed(err)
	if err != nil {
		return nil, fmt.Errorf("signing the report of config %s, epoch %d, round %d: %w", at.ConfigDigest, at.Epoch, at.Round,
			err)
	}
	return signature, nil
}

func (k *keyring) sign(at types.ReportContext, report types.Report) (signature []byte, err error) {
	defer k.logger.guard("Sign", &err)
	d := k.digest(at, report)
	err = d.err
	if own := k.key.Algorithm(); err == nil && d.algorithm != own {
		err = fmt.Errorf("the contract has reports signed with %s, and the job's key bundle signs with %s: make a new "+
			"bundle by loop keys create ocr2, and give its on-chain key to the contract", d.algorithm, own)
	}
	if err != nil {
		return nil, err
	}
	return k.key.Sign(d.message)
}

// Verify implements types.OnchainKeyring.
func (k *keyring) Verify(signer types.OnchainPublicKey, at types.ReportContext, report types.Report,
	signature []byte) (ok bool) {
	var fault error
	defer func() { ok = ok && fault == nil }()
	defer k.logger.guard("Verify", &fault)
	d := k.digest(at, report)
	return d.err == nil && d.algorithm.VerifyReport(signer, d.message, signature)
}

// digest returns what is signed of a report: the relayer's earlier answer, or a new one.
func (k *keyring) digest(at types.ReportContext, report types.Report) *digest {
	k.mu.Lock()
	for i, d := range k.latest {
		if d.at != at || d.report != string(report) {
			continue
		}
		k.mu.Unlock()
		<-d.done
		if d.until.IsZero() || time.Now().Before(d.until) {
			return d
		}
		k.mu.Lock()
		if i < len(k.latest) && k.latest[i] == d {
			k.latest = append(k.latest[:i:i], k.latest[i+1:]...)
		}
		break
	}
	d := &digest{at: at, report: string(report), done: make(chan struct{})}
	k.latest = append([]*digest{d}, k.latest[:min(len(k.latest), keptDigests-1)]...)
	k.mu.Unlock()

	defer close(d.done)
	d.err = errors.New("asking the relayer what is signed of a report panicked") // unless ask returns
	d.err = k.ask(d)
	return d
}

// ask fills in what the relayer says.
func (k *keyring) ask(d *digest) error {
	ctx, cancel := wire.Deadline(context.Background(), relayerv1.ReportDigestService_DigestReports_FullMethodName)
	defer cancel()
	response, err := k.provider.DigestReports(ctx, &relayerv1.DigestReportsRequest{Reports: []*relayerv1.ReportToDigest{{
		ReportContext: ocr2.ReportContextTo(d.at), Report: []byte(d.report),
	}}})
	if err != nil {
		d.until = time.Now().Add(again)
		err = fmt.Errorf("asking the relayer what is signed of a report: %s", status.Convert(err).Message())
		k.logger.Warn(err.Error(),
			commontypes.LogFields{"configDigest": d.at.ConfigDigest, "epoch": d.at.Epoch, "round": d.at.Round})
		return err
	}
	if n := len(response.GetDigests()); n != 1 {
		return fmt.Errorf("the relayer gave %d digests for one report", n)
	}
	answer := response.GetDigests()[0]
	if answer.GetProblem() != "" {
		return fmt.Errorf("the relayer says of the report: %s", answer.GetProblem())
	}
	algorithm, ok := k.schemes[answer.GetScheme()]
	if !ok {
		return fmt.Errorf("the relayer names the report scheme %q, which it has not described", answer.GetScheme())
	}
	d.algorithm, d.message = algorithm, answer.GetMessage()
	return nil
}
