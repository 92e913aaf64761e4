package oracle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"sync"

	ocr "github.com/smartcontractkit/libocr/offchainreporting2plus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/oracle/ocr3"
)

// ocr3Version is OCR3 in job.Product.
const ocr3Version = 3

var (
	_ ocr3types.OnchainKeyring[ocr3.Info]      = (*attester)(nil)
	_ ocr3types.ContractTransmitter[ocr3.Info] = (*sender)(nil)
	_ ocr3types.Database                       = (*states)(nil)
)

// ocr3Args are OCR3's arguments. Those that both versions need are taken from OCR2's.
func (o *Oracle) ocr3Args(of ocr.OCR2OracleArgs, keys *keyring, rounds *rounds) ocr.OCR3OracleArgs[ocr3.Info] {
	s := o.settings
	kept := s.Database.OCR3(s.JobID)
	return ocr.OCR3OracleArgs[ocr3.Info]{
		BinaryNetworkEndpointFactory: of.BinaryNetworkEndpointFactory,
		V2Bootstrappers:              of.V2Bootstrappers,
		ContractConfigTracker:        of.ContractConfigTracker,
		ContractTransmitter:          &sender{transmitter: of.ContractTransmitter, rounds: rounds},
		Database:                     &states{kept, rounds},
		LocalConfig:                  of.LocalConfig,
		Logger:                       of.Logger,
		MetricsRegisterer:            of.MetricsRegisterer,
		OffchainConfigDigester:       of.OffchainConfigDigester,
		OffchainKeyring:              of.OffchainKeyring,
		OnchainKeyring:               &attester{keys, rounds},
		ReportingPluginFactory: ocr3.NewFactory(ocr3.Settings{
			Name: o.reporter.name, Product: o.reporter.ocr3, Answers: kept, Logger: s.Logger,
			Rounds: rounds, Running: o.runs, Fail: o.fail,
		}),
	}
}

// reportContext is the logical time of an outcome's reports on contracts of OCR2, as other nodes of their networks have
// it: its number as the epoch, and no round.
func reportContext(digest types.ConfigDigest, seqNr uint64) (types.ReportContext, error) {
	if seqNr > math.MaxUint32 {
		return types.ReportContext{}, fmt.Errorf("the outcome %d of config %s is beyond the last that contracts of OCR2 "+
			"count, which is %d; "+
			"have the contract's owner set a configuration anew: outcomes are counted from 1 under it", seqNr, digest,
			uint32(math.MaxUint32))
	}
	return types.ReportContext{ReportTimestamp: types.ReportTimestamp{ConfigDigest: digest, Epoch: uint32(seqNr)}}, nil
}

// attester signs and verifies reports of OCR3 for contracts of OCR2. Their infos are not signed.
type attester struct {
	*keyring
	rounds *rounds
}

// Sign implements ocr3types.OnchainKeyring.
func (a *attester) Sign(digest types.ConfigDigest, seqNr uint64,
	r ocr3types.ReportWithInfo[ocr3.Info]) ([]byte, error) {
	at, err := reportContext(digest, seqNr)
	var signature []byte
	if err != nil {
		a.feed.Signed(err)
	} else {
		signature, err = a.keyring.Sign(at, r.Report) // which notes it
	}
	if err != nil {
		a.rounds.Lost(context.Background(), "Sign", err)
	}
	return signature, err
}

// Verify implements ocr3types.OnchainKeyring.
func (a *attester) Verify(
	key types.OnchainPublicKey,
	digest types.ConfigDigest,
	seqNr uint64,
	r ocr3types.ReportWithInfo[ocr3.Info],
	signature []byte,
) bool {
	at, err := reportContext(digest, seqNr)
	if err == nil && a.keyring.Verify(key, at, r.Report, signature) {
		return true
	}
	if err == nil {
		err = a.digest(at, r.Report).err // which is known by now; nil: the signature is wrong
	}
	if err != nil {
		a.rounds.Lost(context.Background(), "Verify", err)
	}
	return false
}

// sender hands reports of OCR3 over as reports of OCR2. The relayer takes one of each outcome: a contract of OCR2 has
// no place for more.
type sender struct {
	transmitter types.ContractTransmitter
	rounds      *rounds

	mu     sync.Mutex
	digest types.ConfigDigest
	first  map[uint64][sha256.Size]byte // the report of each of the latest outcomes under digest
}

// rememberedOutcomes is how many outcomes' reports a sender remembers: libocr sends those of one within seconds.
const rememberedOutcomes = 100

// claim takes an outcome's place for a report. The relayer takes a second report for a repeat of the first, and says
// that it has it. A report that could not be handed over keeps its place, since the relayer may have it all the same.
func (s *sender) claim(digest types.ConfigDigest, seqNr uint64, report types.Report) error {
	hash := sha256.Sum256(report)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil || s.digest != digest {
		s.digest, s.first = digest, map[uint64][sha256.Size]byte{}
	}
	if first, claimed := s.first[seqNr]; claimed && first != hash {
		return fmt.Errorf("the outcome %d of config %s has a second report, which is not sent: a contract of OCR2 takes one "+
			"of each outcome; have the product make one", seqNr, digest)
	}
	s.first[seqNr] = hash
	maps.DeleteFunc(s.first, func(of uint64, _ [sha256.Size]byte) bool { return of+rememberedOutcomes < seqNr })
	return nil
}

// Transmit implements ocr3types.ContractTransmitter.
func (s *sender) Transmit(
	ctx context.Context,
	digest types.ConfigDigest,
	seqNr uint64,
	r ocr3types.ReportWithInfo[ocr3.Info],
	signatures []types.AttributedOnchainSignature,
) error {
	at, err := reportContext(digest, seqNr)
	if err == nil {
		err = s.claim(digest, seqNr, r.Report)
	}
	if err == nil {
		err = s.transmitter.Transmit(ctx, at, r.Report, signatures)
	}
	if err != nil {
		s.rounds.Lost(ctx, "Transmit", err)
	}
	return err
}

// FromAccount implements ocr3types.ContractTransmitter.
func (s *sender) FromAccount(ctx context.Context) (types.Account, error) {
	return s.transmitter.FromAccount(ctx)
}

// states is libocr's database. A state that could not be written ends a round at this oracle.
type states struct {
	*database.OCR3
	rounds *rounds
}

// WriteProtocolState implements ocr3types.Database.
func (s *states) WriteProtocolState(ctx context.Context, digest types.ConfigDigest, key string, value []byte) error {
	err := s.OCR3.WriteProtocolState(ctx, digest, key, value)
	if err != nil {
		s.rounds.Lost(ctx, "WriteProtocolState", err)
	}
	return err
}
