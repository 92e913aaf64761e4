package oracle

import (
	"cmp"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// This file holds every translation between the node's settings and libocr's. Those between the contract's types and
// libocr's are package ocr2's.

func deviationTo(f *job.DeviationFunc) *medianv1.DeviationFunction {
	if f == nil {
		return nil
	}
	return &medianv1.DeviationFunction{Type: f.Type, ExpiresAt: timestamppb.New(f.ExpiresAt),
		Multiplier: wire.BigInt(f.Multiplier)}
}

func locatorsTo(bootstrappers []config.Bootstrapper) []commontypes.BootstrapperLocator {
	var to []commontypes.BootstrapperLocator
	for _, b := range bootstrappers {
		to = append(to, commontypes.BootstrapperLocator{PeerID: b.PeerID, Addrs: b.Addresses})
	}
	return to
}

// localConfigTo is libocr's configuration for the node and the job. The three values of the job replace the node's; job
// specs have no others. The defaults below are for a caller that sets none: libocr refuses zeros.
func localConfigTo(c *config.Config, spec *job.Spec) types.LocalConfig {
	defaults := config.Default().OCR2
	return types.LocalConfig{
		BlockchainTimeout: cmp.Or(spec.BlockchainTimeout, c.OCR2.BlockchainTimeout.Duration,
			defaults.BlockchainTimeout.Duration),
		ContractConfigConfirmations: cmp.Or(spec.ContractConfigConfirmations, c.OCR2.ContractConfirmations,
			defaults.ContractConfirmations),
		ContractConfigTrackerPollInterval: cmp.Or(spec.ContractConfigTrackerPollInterval,
			c.OCR2.ContractPollInterval.Duration, defaults.ContractPollInterval.Duration),
		ContractConfigLoadTimeout: cmp.Or(c.OCR2.ContractConfigLoadTimeout.Duration,
			defaults.ContractConfigLoadTimeout.Duration),
		ContractTransmitterTransmitTimeout: cmp.Or(c.OCR2.ContractTransmitterTransmitTimeout.Duration,
			defaults.ContractTransmitterTransmitTimeout.Duration),
		DatabaseTimeout: cmp.Or(c.OCR2.DatabaseTimeout.Duration, defaults.DatabaseTimeout.Duration),
		DefaultMaxDurationInitialization: cmp.Or(c.OCR2.DefaultMaxDurationInitialization.Duration,
			defaults.DefaultMaxDurationInitialization.Duration),
		// its default is not zero; an operator's zero is meant
		MinOCR2MaxDurationQuery: c.Environment.MinOCR2MaxDurationQuery,
	}
}
