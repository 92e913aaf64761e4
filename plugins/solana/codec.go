package solana

import (
	"context"
	"fmt"
	"math/big"

	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"

	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// codec implements service.Codec.
type codec struct{}

func (codec) BuildReport(_ context.Context, given []service.Observation) ([]byte, error) {
	observations := make([]ocr2.Observation, len(given))
	for i, o := range given {
		observations[i] = ocr2.Observation{Time: o.Seconds, Value: o.Value, JuelsPerFeeCoin: o.JuelsPerFeeCoin,
			Observer: o.Observer}
	}
	report, err := ocr2.BuildReport(observations)
	if err != nil {
		return nil, fmt.Errorf("observations: %w", err)
	}
	return report, nil
}

func (codec) Median(_ context.Context, text []byte) (*big.Int, error) {
	report, err := ocr2.ParseReport(text)
	return report.Median, err
}

func (codec) MaxReportLength(context.Context, uint32) (uint32, error) { return ocr2.ReportLength, nil }

func (codec) EncodeOnchainConfig(_ context.Context, lowest, highest *big.Int) ([]byte, error) {
	if err := service.CheckBounds(lowest, highest, 128); err != nil {
		return nil, err
	}
	encoded, err := ocr2.OnchainConfig(lowest, highest)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return encoded, nil
}

func (codec) DecodeOnchainConfig(ctx context.Context, encoded []byte) (lowest, highest *big.Int, err error) {
	config, err := median.StandardOnchainConfigCodec{}.Decode(ctx, encoded)
	return config.Min, config.Max, err
}
