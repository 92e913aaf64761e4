package oracle

import (
	"cmp"
	"fmt"
	"math"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/wire"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// This file holds every translation between the contract's types and libocr's, and between the node's settings and libocr's.
// What comes from a plugin was held to the contract's rules on its way in; what those do not bound is checked here.

func digestOf(field string, b []byte) (types.ConfigDigest, error) {
	digest, err := types.BytesToConfigDigest(b)
	if err != nil {
		return types.ConfigDigest{}, fmt.Errorf("%s: has %d bytes; it must have 32", field, len(b))
	}
	return digest, nil
}

func timestampTo(at types.ReportTimestamp) *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: at.ConfigDigest[:], Epoch: at.Epoch, Round: uint32(at.Round)}
}

func timestampOf(at *reportingv1.ReportTimestamp) (types.ReportTimestamp, error) {
	digest, err := digestOf("config_digest", at.GetConfigDigest())
	if err != nil {
		return types.ReportTimestamp{}, err
	}
	if at.GetRound() > math.MaxUint8 {
		return types.ReportTimestamp{}, fmt.Errorf("round: is %d; the largest value is %d", at.GetRound(), math.MaxUint8)
	}
	return types.ReportTimestamp{ConfigDigest: digest, Epoch: at.GetEpoch(), Round: uint8(at.GetRound())}, nil
}

func reportContextTo(at types.ReportContext) *reportingv1.ReportContext {
	return &reportingv1.ReportContext{Timestamp: timestampTo(at.ReportTimestamp), ExtraHash: at.ExtraHash[:]}
}

func configTo(c types.ContractConfig) *relayerv1.ContractConfig {
	to := &relayerv1.ContractConfig{
		ConfigDigest:          c.ConfigDigest[:],
		ConfigCount:           c.ConfigCount,
		F:                     uint32(c.F),
		OnchainConfig:         c.OnchainConfig,
		OffchainConfigVersion: c.OffchainConfigVersion,
		OffchainConfig:        c.OffchainConfig,
	}
	for _, signer := range c.Signers {
		to.Signers = append(to.Signers, signer)
	}
	for _, transmitter := range c.Transmitters {
		to.Transmitters = append(to.Transmitters, string(transmitter))
	}
	return to
}

func configOf(c *relayerv1.ContractConfig) (types.ContractConfig, error) {
	digest, err := digestOf("config.config_digest", c.GetConfigDigest())
	if err != nil {
		return types.ContractConfig{}, err
	}
	if c.GetF() > math.MaxUint8 {
		return types.ContractConfig{}, fmt.Errorf("config.f: is %d; the largest value is %d", c.GetF(), math.MaxUint8)
	}
	of := types.ContractConfig{
		ConfigDigest:          digest,
		ConfigCount:           c.GetConfigCount(),
		F:                     uint8(c.GetF()),
		OnchainConfig:         c.GetOnchainConfig(),
		OffchainConfigVersion: c.GetOffchainConfigVersion(),
		OffchainConfig:        c.GetOffchainConfig(),
	}
	for _, signer := range c.GetSigners() {
		of.Signers = append(of.Signers, signer)
	}
	for _, transmitter := range c.GetTransmitters() {
		of.Transmitters = append(of.Transmitters, types.Account(transmitter))
	}
	return of, nil
}

func signaturesTo(signatures []types.AttributedOnchainSignature) []*relayerv1.AttributedOnchainSignature {
	to := make([]*relayerv1.AttributedOnchainSignature, len(signatures))
	for i, s := range signatures {
		to[i] = &relayerv1.AttributedOnchainSignature{Signature: s.Signature, Signer: uint32(s.Signer)}
	}
	return to
}

func observationsTo(observations []types.AttributedObservation) []*reportingv1.AttributedObservation {
	to := make([]*reportingv1.AttributedObservation, len(observations))
	for i, o := range observations {
		to[i] = &reportingv1.AttributedObservation{Observation: o.Observation, Observer: uint32(o.Observer)}
	}
	return to
}

func pluginConfigTo(c types.ReportingPluginConfig) *reportingv1.CreateReportingPluginRequest {
	return &reportingv1.CreateReportingPluginRequest{
		ConfigDigest:                            c.ConfigDigest[:],
		OracleId:                                uint32(c.OracleID),
		N:                                       uint32(c.N),
		F:                                       uint32(c.F),
		OnchainConfig:                           c.OnchainConfig,
		OffchainConfig:                          c.OffchainConfig,
		EstimatedRoundInterval:                  durationpb.New(c.EstimatedRoundInterval),
		MaxDurationQuery:                        durationpb.New(c.MaxDurationQuery),
		MaxDurationObservation:                  durationpb.New(c.MaxDurationObservation),
		MaxDurationReport:                       durationpb.New(c.MaxDurationReport),
		MaxDurationShouldAcceptFinalizedReport:  durationpb.New(c.MaxDurationShouldAcceptFinalizedReport),
		MaxDurationShouldTransmitAcceptedReport: durationpb.New(c.MaxDurationShouldTransmitAcceptedReport),
	}
}

func infoOf(r *reportingv1.CreateReportingPluginResponse) types.ReportingPluginInfo {
	// The limits fit: libocr refuses those above 256 MiB, and an int has at least 64 bits wherever this node runs.
	return types.ReportingPluginInfo{
		Name:          r.GetProduct(),
		UniqueReports: r.GetUniqueReports(),
		Limits: types.ReportingPluginLimits{
			MaxQueryLength:       int(r.GetLimits().GetMaxQueryLength()),
			MaxObservationLength: int(r.GetLimits().GetMaxObservationLength()),
			MaxReportLength:      int(r.GetLimits().GetMaxReportLength()),
		},
	}
}

func deviationTo(f *job.DeviationFunc) *medianv1.DeviationFunction {
	if f == nil {
		return nil
	}
	return &medianv1.DeviationFunction{Type: f.Type, ExpiresAt: timestamppb.New(f.ExpiresAt), Multiplier: wire.BigInt(f.Multiplier)}
}

func locatorsTo(bootstrappers []config.Bootstrapper) []commontypes.BootstrapperLocator {
	var to []commontypes.BootstrapperLocator
	for _, b := range bootstrappers {
		to = append(to, commontypes.BootstrapperLocator{PeerID: b.PeerID, Addrs: b.Addresses})
	}
	return to
}

// localConfigTo is what libocr is told of the node and the job. The job's three values stand in for the node's; job specs
// have no others. The defaults below are for a caller that sets none: libocr refuses zeros.
func localConfigTo(c *config.Config, spec *job.Spec) types.LocalConfig {
	defaults := config.Default().OCR2
	return types.LocalConfig{
		BlockchainTimeout:                  cmp.Or(spec.BlockchainTimeout, c.OCR2.BlockchainTimeout.Duration, defaults.BlockchainTimeout.Duration),
		ContractConfigConfirmations:        cmp.Or(spec.ContractConfigConfirmations, c.OCR2.ContractConfirmations, defaults.ContractConfirmations),
		ContractConfigTrackerPollInterval:  cmp.Or(spec.ContractConfigTrackerPollInterval, c.OCR2.ContractPollInterval.Duration, defaults.ContractPollInterval.Duration),
		ContractConfigLoadTimeout:          cmp.Or(c.OCR2.ContractConfigLoadTimeout.Duration, defaults.ContractConfigLoadTimeout.Duration),
		ContractTransmitterTransmitTimeout: cmp.Or(c.OCR2.ContractTransmitterTransmitTimeout.Duration, defaults.ContractTransmitterTransmitTimeout.Duration),
		DatabaseTimeout:                    cmp.Or(c.OCR2.DatabaseTimeout.Duration, defaults.DatabaseTimeout.Duration),
		DefaultMaxDurationInitialization:   cmp.Or(c.OCR2.DefaultMaxDurationInitialization.Duration, defaults.DefaultMaxDurationInitialization.Duration),
		MinOCR2MaxDurationQuery:            c.Environment.MinOCR2MaxDurationQuery, // its default is not zero; an operator's zero is meant
	}
}
