package relayer

import (
	"context"
	"fmt"
	"math/big"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"

	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// codec writes and reads reports and on-chain configurations, byte for byte as the contract has them.
type codec struct{}

const (
	mostOracles = 31
	bits        = 192 // of the contract's numbers
)

// BuildReport implements service.Codec.
func (codec) BuildReport(ctx context.Context, given []service.Observation) ([]byte, error) {
	if n := len(given); n == 0 || n > mostOracles {
		return nil, fmt.Errorf("observations: a report holds 1 to %d, got %d", mostOracles, n)
	}
	observations := make([]median.ParsedAttributedObservation, len(given))
	for i, o := range given {
		if !service.Fits(o.Value, bits) || !service.Fits(o.JuelsPerFeeCoin, bits) {
			return nil, fmt.Errorf("observations[%d]: the report holds signed integers of %d bits", i, bits)
		}
		observations[i] = median.ParsedAttributedObservation{
			Timestamp: o.Seconds, Observer: commontypes.OracleID(o.Observer),
			Value: o.Value, JuelsPerFeeCoin: o.JuelsPerFeeCoin, GasPriceSubunits: o.GasPriceSubunits,
		}
	}
	return evmreportcodec.ReportCodec{}.BuildReport(ctx, observations)
}

// Median implements service.Codec. The decoder accepts wider integers than the contract does.
func (codec) Median(ctx context.Context, report []byte) (*big.Int, error) {
	answer, err := evmreportcodec.ReportCodec{}.MedianFromReport(ctx, report)
	if err == nil && !service.Fits(answer, bits) {
		return nil, fmt.Errorf("its median is wider than %d bits", bits)
	}
	return answer, err
}

// MaxReportLength implements service.Codec.
func (codec) MaxReportLength(ctx context.Context, n uint32) (uint32, error) {
	length, err := evmreportcodec.ReportCodec{}.MaxReportLength(ctx, int(n))
	if err != nil {
		return 0, fmt.Errorf("n: %w", err)
	}
	return uint32(length), nil
}

// EncodeOnchainConfig implements service.Codec.
func (codec) EncodeOnchainConfig(ctx context.Context, lowest, highest *big.Int) ([]byte, error) {
	if err := service.CheckBounds(lowest, highest, bits); err != nil {
		return nil, err
	}
	return median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: lowest, Max: highest})
}

// DecodeOnchainConfig implements service.Codec.
func (codec) DecodeOnchainConfig(ctx context.Context, encoded []byte) (lowest, highest *big.Int, err error) {
	config, err := median.StandardOnchainConfigCodec{}.Decode(ctx, encoded)
	return config.Min, config.Max, err
}
