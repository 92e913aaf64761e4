// Package ocr2 translates between the contract's messages and libocr's types of OCR2: functions ending in To make a
// message from libocr's value, and functions ending in Of make libocr's value from a message. Hosts and plugins that
// run libocr's own code share it. It is a separate module, because authors of other plugins do not need libocr.
//
// Messages from a connection were checked against the contract's rules there. This package checks what the rules do not
// bound, and values that came over no connection: it never silently cuts a value to OCR2's widths.
package ocr2

import (
	"fmt"
	"math"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// DigestOf reads a configuration's digest. Its error begins with the field.
func DigestOf(field string, b []byte) (types.ConfigDigest, error) {
	digest, err := types.BytesToConfigDigest(b)
	if err != nil {
		return types.ConfigDigest{}, fmt.Errorf("%s has %d bytes; it must have %d", field, len(b), len(digest))
	}
	return digest, nil
}

// oracleOf reads an oracle's number among those of its network.
func oracleOf(field string, id uint32) (commontypes.OracleID, error) {
	if id > math.MaxUint8 {
		return 0, fmt.Errorf("%s is %d; the largest value is %d", field, id, math.MaxUint8)
	}
	return commontypes.OracleID(id), nil
}

// TimestampTo writes a logical time.
func TimestampTo(at types.ReportTimestamp) *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: at.ConfigDigest[:], Epoch: at.Epoch, Round: uint32(at.Round)}
}

// TimestampOf reads a logical time.
func TimestampOf(at *reportingv1.ReportTimestamp) (types.ReportTimestamp, error) {
	digest, err := DigestOf("timestamp.config_digest", at.GetConfigDigest())
	if err != nil {
		return types.ReportTimestamp{}, err
	}
	if at.GetRound() > math.MaxUint8 {
		return types.ReportTimestamp{}, fmt.Errorf("timestamp.round is %d; the largest value is %d", at.GetRound(),
			math.MaxUint8)
	}
	return types.ReportTimestamp{ConfigDigest: digest, Epoch: at.GetEpoch(), Round: uint8(at.GetRound())}, nil
}

// ReportContextTo writes a logical time and the extra hash that is signed with it.
func ReportContextTo(at types.ReportContext) *reportingv1.ReportContext {
	return &reportingv1.ReportContext{Timestamp: TimestampTo(at.ReportTimestamp), ExtraHash: at.ExtraHash[:]}
}

// ContractConfigTo writes a contract's configuration.
func ContractConfigTo(c types.ContractConfig) *relayerv1.ContractConfig {
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

// ContractConfigOf reads a contract's configuration.
func ContractConfigOf(c *relayerv1.ContractConfig) (types.ContractConfig, error) {
	digest, err := DigestOf("config.config_digest", c.GetConfigDigest())
	if err != nil {
		return types.ContractConfig{}, err
	}
	if c.GetF() > math.MaxUint8 {
		return types.ContractConfig{}, fmt.Errorf("config.f is %d; the largest value is %d", c.GetF(), math.MaxUint8)
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

// SignaturesTo writes a report's signatures, in their order.
func SignaturesTo(signatures []types.AttributedOnchainSignature) []*relayerv1.AttributedOnchainSignature {
	to := make([]*relayerv1.AttributedOnchainSignature, len(signatures))
	for i, s := range signatures {
		to[i] = &relayerv1.AttributedOnchainSignature{Signature: s.Signature, Signer: uint32(s.Signer)}
	}
	return to
}
