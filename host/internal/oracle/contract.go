package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
)

var (
	_ types.ContractConfigTracker  = (*tracker)(nil)
	_ types.OffchainConfigDigester = (*digester)(nil)
	_ types.ContractTransmitter    = (*transmitter)(nil)
)

// within gives a call its own deadline: limit, and never more than nine tenths of the time that libocr has left. libocr
// logs that a call takes too long but does not end it, and if its deadline comes first, the error says only that a
// context ended. Our error names the call.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)*9/10)
	}
	return context.WithTimeout(ctx, limit)
}

// guard turns a panic in a call of libocr's into the call's error: libocr recovers nowhere, and a panic would end the
// node.
func (l *logger) guard(call string, err *error) {
	if fault := recover(); fault != nil {
		l.slog.Error("a call by libocr panicked", "call", call, "panic", fault, "stack", string(debug.Stack()))
		*err = fmt.Errorf("%s panicked: %v", call, fault)
	}
}

// tracker follows the contract's configuration through the job's provider.
type tracker struct {
	provider relayerv1.ContractConfigServiceClient
	changes  <-chan struct{}
	limit    time.Duration
	logger   *logger
	feed     *feed.Recorder
	own      *own

	confirmations uint16        // of blocks, which libocr waits for before it reads a configuration
	height        atomic.Uint64 // of the chain, as libocr was last told
}

// own has the names of this node in a contract's configuration, and the node's own settings for one.
type own struct {
	signer   types.OnchainPublicKey
	offchain types.OffchainPublicKey
	peer     string
	account  string

	version  int           // of OCR
	minQuery time.Duration // that queries get in any case
}

// Notify implements types.ContractConfigTracker. The channel belongs to the node and survives the relayer's restarts.
func (t *tracker) Notify() <-chan struct{} { return t.changes }

// LatestConfigDetails implements types.ContractConfigTracker.
func (t *tracker) LatestConfigDetails(ctx context.Context) (block uint64, digest types.ConfigDigest, err error) {
	defer t.logger.guard("LatestConfigDetails", &err)
	ctx, cancel := within(ctx, t.limit)
	defer cancel()
	response, err := t.provider.LatestConfigDetails(ctx, &relayerv1.LatestConfigDetailsRequest{})
	if err == nil {
		digest, err = ocr2.DigestOf("config_digest", response.GetConfigDigest())
	}
	t.read(ctx, digest, err)
	if err != nil {
		return 0, types.ConfigDigest{}, fmt.Errorf("reading where the contract's configuration is: %w", err)
	}
	if digest == (types.ConfigDigest{}) {
		return response.GetChangedInBlock(), digest, nil
	}
	if t.height.Load()+1 >= response.GetChangedInBlock()+uint64(t.confirmations) { // as libocr counts them
		t.feed.Confirmed(digest.Hex())
	}
	if t.own != nil && t.feed.Facts().Members == nil {
		// libocr does not read a configuration that it has in its database. So after a restart nobody else reads one.
		if _, err := t.LatestConfig(ctx, response.GetChangedInBlock()); err != nil {
			t.logger.slog.Debug("it is not known yet whether this node is among the oracles", "error", err)
		}
	}
	return response.GetChangedInBlock(), digest, nil
}

// read notes the result of a reading. A reading that libocr gave up has none.
func (t *tracker) read(ctx context.Context, digest types.ConfigDigest, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	known := ""
	if digest != (types.ConfigDigest{}) {
		known = digest.Hex()
	}
	t.feed.ConfigRead(known, said(err))
}

// said is the text of a call's error for people, without the kind of call that failed.
func said(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(status.Convert(err).Message())
}

// LatestConfig implements types.ContractConfigTracker.
func (t *tracker) LatestConfig(ctx context.Context, changedInBlock uint64) (config types.ContractConfig, err error) {
	defer t.logger.guard("LatestConfig", &err)
	ctx, cancel := within(ctx, t.limit)
	defer cancel()
	response, err := t.provider.LatestConfig(ctx, &relayerv1.LatestConfigRequest{ChangedInBlock: changedInBlock})
	if err == nil {
		config, err = ocr2.ContractConfigOf(response.GetConfig())
	}
	if err != nil {
		return types.ContractConfig{}, fmt.Errorf("reading the contract's configuration of block %d: %w", changedInBlock, err)
	}
	if t.own != nil {
		t.feed.Configured(t.own.among(config))
	}
	return config, nil
}

// among finds this node in a configuration, by its on-chain key.
func (o *own) among(config types.ContractConfig) health.Members {
	m := health.Members{
		Oracles: len(config.Signers), Faulty: int(config.F), Own: o.account,
		Budgets: budgetsOf(config, o.version, o.minQuery),
	}
	for i, signer := range config.Signers {
		if bytes.Equal(signer, o.signer) && i < len(config.Transmitters) {
			m.Signer, m.Index, m.Account = true, i, string(config.Transmitters[i])
			m.Fault = o.fault(config, i)
		}
	}
	return m
}

// fault is what is wrong with this node's part in a configuration. The relayer has checked the configuration, but does
// not know the node's keys.
func (o *own) fault(config types.ContractConfig, index int) string {
	identities, err := identitiesOf(config)
	switch {
	case err != nil:
		return "cannot be read: " + err.Error()
	case identities[index].OffchainPublicKey != o.offchain:
		return fmt.Sprintf("has this node's on-chain key for oracle %d, and beside it an off-chain key that is not the "+
			"bundle's", index)
	case identities[index].PeerID != o.peer:
		return fmt.Sprintf("has this node's on-chain key for oracle %d, and beside it the peer id %.64q, which is not this "+
			"node's, %s; [P2P] PeerID chooses among the node's keys", index, identities[index].PeerID, o.peer)
	}
	return ""
}

// identitiesOf are the oracles' public keys, as libocr reads them. There are as many as signers.
func identitiesOf(config types.ContractConfig) ([]confighelper.OracleIdentity, error) {
	const ocr3 = 30 // libocr's OCR3OffchainConfigVersion
	if config.OffchainConfigVersion == ocr3 {
		public, err := ocr3confighelper.PublicConfigFromContractConfig(true, config)
		return public.OracleIdentities, err
	}
	public, err := confighelper.PublicConfigFromContractConfig(true, config)
	return public.OracleIdentities, err
}

// LatestBlockHeight implements types.ContractConfigTracker.
func (t *tracker) LatestBlockHeight(ctx context.Context) (height uint64, err error) {
	defer t.logger.guard("LatestBlockHeight", &err)
	ctx, cancel := within(ctx, t.limit)
	defer cancel()
	response, err := t.provider.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
	if err != nil {
		t.read(ctx, types.ConfigDigest{}, err) // libocr asks for nothing else without it
		return 0, fmt.Errorf("reading the chain's height: %w", err)
	}
	t.height.Store(response.GetBlockHeight())
	return response.GetBlockHeight(), nil
}

// digester computes digests through the job's provider: each chain hashes its own way.
type digester struct {
	provider relayerv1.ContractConfigServiceClient
	limit    time.Duration
	logger   *logger

	mu     sync.Mutex
	prefix *types.ConfigDigestPrefix // nil until it is known; it never changes
}

// ConfigDigest implements types.OffchainConfigDigester.
func (d *digester) ConfigDigest(ctx context.Context,
	config types.ContractConfig) (digest types.ConfigDigest, err error) {
	defer d.logger.guard("ConfigDigest", &err)
	ctx, cancel := within(ctx, d.limit)
	defer cancel()
	response, err := d.provider.ConfigDigest(ctx, &relayerv1.ConfigDigestRequest{Config: ocr2.ContractConfigTo(config)})
	if err == nil {
		digest, err = ocr2.DigestOf("config_digest", response.GetConfigDigest())
	}
	if err != nil {
		return types.ConfigDigest{}, fmt.Errorf("computing the digest of the contract's configuration: %w", err)
	}
	return digest, nil
}

// ConfigDigestPrefix implements types.OffchainConfigDigester. libocr asks at each change; the relayer is asked once.
func (d *digester) ConfigDigestPrefix(ctx context.Context) (prefix types.ConfigDigestPrefix, err error) {
	defer d.logger.guard("ConfigDigestPrefix", &err)
	d.mu.Lock()
	known := d.prefix
	d.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	ctx, cancel := within(ctx, d.limit)
	defer cancel()
	response, err := d.provider.ConfigDigestPrefix(ctx, &relayerv1.ConfigDigestPrefixRequest{})
	if err != nil {
		return 0, fmt.Errorf("asking for the prefix of the chain's config digests: %w", err)
	}
	prefix = types.ConfigDigestPrefix(response.GetPrefix()) // at most 65535 by the contract
	d.mu.Lock()
	d.prefix = &prefix
	d.mu.Unlock()
	return prefix, nil
}

// transmitter hands reports to the job's provider, which stores them before it answers and sends them later.
type transmitter struct {
	provider      relayerv1.ContractTransmitterServiceClient
	account       types.Account
	transmitLimit time.Duration
	readLimit     time.Duration
	logger        *logger
	feed          *feed.Recorder
	history       *history.Job
	handovers     *Handovers
	job           int64
	answer        func(ctx context.Context, report []byte) (*big.Int, error) // reads it out of a report
}

// transmitPause is the time between two tries to hand over one report.
const transmitPause = 50 * time.Millisecond

// answerLimit is how long the answer of a report handed over may take to be read: the next one waits meanwhile.
const answerLimit = time.Second

// Transmit implements types.ContractTransmitter. libocr has deleted the pending transmission before it calls, and never
// calls again for it: what this returns as an error is lost at this oracle. A relayer that is away or whose store does
// not answer is therefore asked again while there is time. The relayer takes a repeat of one (digest, epoch, round) for
// the same transmission.
func (t *transmitter) Transmit(ctx context.Context, at types.ReportContext, report types.Report,
	signatures []types.AttributedOnchainSignature) (err error) {
	defer t.logger.guard("Transmit", &err)
	ctx, cancel := within(ctx, t.transmitLimit)
	defer cancel()
	request := &relayerv1.TransmitRequest{ReportContext: ocr2.ReportContextTo(at), Report: report,
		Signatures: ocr2.SignaturesTo(signatures)}
	for {
		_, err := t.provider.Transmit(ctx, request)
		if err == nil {
			t.feed.Handed(nil)
			t.history.Sent(roundOf(at.ReportTimestamp), nil)
			t.feed.Ends(at.Epoch, at.Round)
			t.tell(ctx, at.ReportTimestamp, report)
			return nil
		}
		if status.Code(err) == codes.Unavailable {
			select {
			case <-time.After(transmitPause):
				continue
			case <-ctx.Done():
			}
		}
		t.feed.Handed(said(err))
		t.history.Sent(roundOf(at.ReportTimestamp), said(err))
		return fmt.Errorf("handing the report of epoch %d, round %d to the relayer: %w", at.Epoch, at.Round, err)
	}
}

// tell logs the one line about a transmission of this node. The line has no answer if the node cannot read it, as in a
// product's report.
func (t *transmitter) tell(ctx context.Context, at types.ReportTimestamp, report types.Report) {
	level := t.handovers.level(t.job)
	if !t.logger.slog.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("digest", at.ConfigDigest.Hex()), slog.Any("epoch", at.Epoch), slog.Any("round", at.Round),
	}
	reading, cancel := within(ctx, answerLimit)
	defer cancel()
	if answer, err := t.answer(reading, report); err == nil {
		attributes = append(attributes, slog.Any("answer", answer))
	}
	t.logger.slog.LogAttrs(ctx, level, "a report was handed to the relayer", attributes...)
}

// LatestConfigDigestAndEpoch implements types.ContractTransmitter.
func (t *transmitter) LatestConfigDigestAndEpoch(ctx context.Context) (
	digest types.ConfigDigest, epoch uint32, err error) {
	defer t.logger.guard("LatestConfigDigestAndEpoch", &err)
	ctx, cancel := within(ctx, t.readLimit)
	defer cancel()
	response, err := t.provider.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
	if err == nil {
		digest, err = ocr2.DigestOf("config_digest", response.GetConfigDigest())
	}
	if err != nil {
		return types.ConfigDigest{}, 0, fmt.Errorf("reading what the contract last accepted: %w", err)
	}
	return digest, response.GetEpoch(), nil
}

// FromAccount implements types.ContractTransmitter. It asks nobody: an error here would end the feed until the
// contract's next configuration.
func (t *transmitter) FromAccount(context.Context) (types.Account, error) { return t.account, nil }
