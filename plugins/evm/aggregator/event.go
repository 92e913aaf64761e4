package aggregator

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	gethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// ConfigSetTopic is the event's first topic.
func ConfigSetTopic() common.Hash { return contract().Events["ConfigSet"].ID }

// RoundRequestedTopic is the event's first topic.
func RoundRequestedTopic() common.Hash { return contract().Events["RoundRequested"].ID }

// NewTransmissionTopic is the event's first topic.
func NewTransmissionTopic() common.Hash { return contract().Events["NewTransmission"].ID }

// NewTransmission is the event of a report that the contract accepted.
type NewTransmission struct {
	Digest types.ConfigDigest
	Epoch  uint32
	Round  uint8
	Answer *big.Int
	// Transmitter is the account that sent it.
	Transmitter common.Address
}

// RoundRequested is the event by which somebody asks for a round.
type RoundRequested struct {
	Digest types.ConfigDigest
	Epoch  uint32
	Round  uint8
}

// ParseConfigSet reads the event by which a configuration is set.
func ParseConfigSet(log gethtypes.Log) (types.ContractConfig, error) {
	var event ocr2aggregator.OCR2AggregatorConfigSet
	if err := contract().UnpackIntoInterface(&event, "ConfigSet", log.Data); err != nil {
		return types.ContractConfig{}, fmt.Errorf("the event ConfigSet of block %d cannot be read: %w", log.BlockNumber, err)
	}
	return evmutil.ContractConfigFromConfigSetEvent(event), nil
}

// ParseNewTransmission reads the event of a report that the contract accepted.
func ParseNewTransmission(log gethtypes.Log) (NewTransmission, error) {
	var event ocr2aggregator.OCR2AggregatorNewTransmission
	if err := contract().UnpackIntoInterface(&event, "NewTransmission", log.Data); err != nil {
		return NewTransmission{}, fmt.Errorf("the event NewTransmission of block %d cannot be read: %w", log.BlockNumber, err)
	}
	at := event.EpochAndRound.Uint64() // 32 bits and 8
	return NewTransmission{
		Digest: event.ConfigDigest, Epoch: uint32(at >> 8), Round: uint8(at), Answer: event.Answer,
		Transmitter: event.Transmitter,
	}, nil
}

// ParseRoundRequested reads the event by which somebody asks for a round.
func ParseRoundRequested(log gethtypes.Log) (RoundRequested, error) {
	var event struct {
		ConfigDigest [32]byte
		Epoch        uint32
		Round        uint8
	}
	if err := contract().UnpackIntoInterface(&event, "RoundRequested", log.Data); err != nil {
		return RoundRequested{}, fmt.Errorf("the event RoundRequested of block %d cannot be read: %w", log.BlockNumber, err)
	}
	return RoundRequested{Digest: event.ConfigDigest, Epoch: event.Epoch, Round: event.Round}, nil
}
