// Package aggregator is the OCR2Aggregator contract as bytes: its views, its events and its transmit call.
//
// It makes no calls, and must not know nodes, jobs or accounts. What it parses is untrusted.
package aggregator

import (
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/plugins/evm/endpoint"
)

// contract parses the ABI when it is first needed: it costs a millisecond that no start should pay.
var contract = sync.OnceValue(func() *abi.ABI {
	parsed, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	if err != nil {
		panic(fmt.Sprintf("the ABI that libocr ships does not parse: %v", err)) // a broken build, found by every test
	}
	return parsed
})

// ConfigDetails is the answer of latestConfigDetails.
type ConfigDetails struct {
	// Block is where the latest configuration was set; 0 before the first.
	Block  uint64
	Digest types.ConfigDigest
}

// TransmissionDetails is the answer of latestTransmissionDetails. Before the first transmission it is all zero, except
// for the digest, which is that of the latest configuration. latestConfigDigestAndEpoch tells nothing else.
type TransmissionDetails struct {
	Digest types.ConfigDigest
	Epoch  uint32
	Round  uint8
	Answer *big.Int
	Time   time.Time
}

// ConfigDetailsCall is the part of a batch that asks for latestConfigDetails.
func ConfigDetailsCall(address common.Address, output *hexutil.Bytes) rpc.BatchElem {
	return view(address, "latestConfigDetails", output)
}

// TransmissionDetailsCall is the part of a batch that asks for latestTransmissionDetails.
func TransmissionDetailsCall(address common.Address, output *hexutil.Bytes) rpc.BatchElem {
	return view(address, "latestTransmissionDetails", output)
}

// view is a call of a view without arguments.
func view(address common.Address, name string, output *hexutil.Bytes) rpc.BatchElem {
	return endpoint.View(address, contract().Methods[name].ID, output)
}

// ParseConfigDetails reads the answer of latestConfigDetails.
func ParseConfigDetails(output hexutil.Bytes) (ConfigDetails, error) {
	var answer struct {
		ConfigCount  uint32
		BlockNumber  uint32
		ConfigDigest [32]byte
	}
	err := parse("latestConfigDetails", output, &answer)
	return ConfigDetails{Block: uint64(answer.BlockNumber), Digest: answer.ConfigDigest}, err
}

// ParseTransmissionDetails reads the answer of latestTransmissionDetails.
func ParseTransmissionDetails(output hexutil.Bytes) (TransmissionDetails, error) {
	var answer struct {
		ConfigDigest    [32]byte
		Epoch           uint32
		Round           uint8
		LatestAnswer    *big.Int
		LatestTimestamp uint64
	}
	if err := parse("latestTransmissionDetails", output, &answer); err != nil {
		return TransmissionDetails{}, err
	}
	const latest = 253402300799 // the end of the year 9999, which is as far as a Timestamp goes
	return TransmissionDetails{
		Digest: answer.ConfigDigest, Epoch: answer.Epoch, Round: answer.Round,
		Answer: answer.LatestAnswer, Time: time.Unix(int64(min(answer.LatestTimestamp, latest)), 0).UTC(),
	}, nil
}

func parse(view string, output hexutil.Bytes, into any) error {
	text, err := endpoint.Output(output)
	if err != nil {
		return err
	}
	if err := contract().UnpackIntoInterface(into, view, text); err != nil {
		return fmt.Errorf("the contract's answer to %s cannot be read; check that it is an OCR2 aggregator: %w", view, err)
	}
	return nil
}

// MaxSignatures is how many signatures a transmission can carry: the contract has 32 bytes for their v, and at most 31
// oracles.
const MaxSignatures = 31

// Transmit returns the input of a transmission's call. Each signature is r, s and v (0 or 1) in 65 bytes.
func Transmit(context [3][32]byte, report []byte, signatures [][]byte) ([]byte, error) {
	if len(signatures) == 0 || len(signatures) > MaxSignatures {
		return nil, fmt.Errorf("the contract takes 1 to %d signatures, got %d", MaxSignatures, len(signatures))
	}
	if len(report) == 0 {
		return nil, errors.New("the report is empty")
	}
	var (
		rs, ss [][32]byte
		vs     [32]byte
	)
	for i, signature := range signatures {
		if len(signature) != 65 || signature[64] > 1 {
			return nil, fmt.Errorf("signature %d must be r, s and v (0 or 1) in 65 bytes, got %d bytes", i, len(signature))
		}
		rs, ss = append(rs, [32]byte(signature[:32])), append(ss, [32]byte(signature[32:64]))
		vs[i] = signature[64]
	}
	input, err := contract().Pack("transmit", context, report, rs, ss, vs)
	if err != nil {
		return nil, fmt.Errorf("encode a transmission: %w", err)
	}
	return input, nil
}
