package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"

	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// codec implements service.Codec.
type codec struct{}

// fits reports whether an integer can be Solidity's int192, as those in a report and in an on-chain configuration are.
// libocr's encoders take it for granted.
func fits(i *big.Int) bool { return service.Fits(i, 192) }

func (codec) BuildReport(ctx context.Context, given []service.Observation) ([]byte, error) {
	// The contract names the observers of a report in 32 bytes and has at most 31 oracles.
	if n := len(given); n == 0 || n > aggregator.MaxSignatures {
		return nil, fmt.Errorf("observations: a report holds 1 to %d, got %d", aggregator.MaxSignatures, n)
	}
	observations := make([]median.ParsedAttributedObservation, len(given))
	for i, o := range given {
		if !fits(o.Value) {
			return nil, fmt.Errorf("observations[%d].value: the report holds signed integers of 192 bits", i)
		}
		if !fits(o.JuelsPerFeeCoin) {
			return nil, fmt.Errorf("observations[%d].juels_per_fee_coin: the report holds signed integers of 192 bits", i)
		}
		observations[i] = median.ParsedAttributedObservation{
			Timestamp: o.Seconds, Value: o.Value, JuelsPerFeeCoin: o.JuelsPerFeeCoin, GasPriceSubunits: o.GasPriceSubunits,
			Observer: commontypes.OracleID(o.Observer),
		}
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(ctx, observations)
	if err != nil {
		return nil, fmt.Errorf("build a report of %d observations: %w", len(observations), err)
	}
	return report, nil
}

// Median checks the width of the answer in an untrusted report: go-ethereum's decoder accepts integers that are wider
// than their type, which the contract refuses.
func (codec) Median(ctx context.Context, report []byte) (*big.Int, error) {
	answer, err := evmreportcodec.ReportCodec{}.MedianFromReport(ctx, report)
	if err == nil && !fits(answer) {
		return nil, errors.New("its median is wider than the 192 bits of the contract's integers")
	}
	return answer, err
}

func (codec) MaxReportLength(ctx context.Context, n uint32) (uint32, error) {
	length, err := evmreportcodec.ReportCodec{}.MaxReportLength(ctx, int(n))
	if err != nil {
		return 0, fmt.Errorf("n: %w", err)
	}
	return uint32(length), nil
}

func (codec) EncodeOnchainConfig(ctx context.Context, lowest, highest *big.Int) ([]byte, error) {
	if err := service.CheckBounds(lowest, highest, 192); err != nil {
		return nil, err
	}
	encoded, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: lowest, Max: highest})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return encoded, nil
}

func (codec) DecodeOnchainConfig(ctx context.Context, encoded []byte) (lowest, highest *big.Int, err error) {
	config, err := median.StandardOnchainConfigCodec{}.Decode(ctx, encoded)
	return config.Min, config.Max, err
}
