package starknet

import (
	"context"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// codec implements service.Codec.
type codec struct{}

func (codec) BuildReport(_ context.Context, given []service.Observation) ([]byte, error) {
	observations := make([]aggregator.Observation, len(given))
	for i, o := range given {
		observations[i] = aggregator.Observation{
			Seconds: o.Seconds, Value: o.Value, JuelsPerFeeCoin: o.JuelsPerFeeCoin, GasPrice: o.GasPriceSubunits,
			Observer: o.Observer,
		}
	}
	return aggregator.BuildReport(observations)
}

func (codec) Median(_ context.Context, report []byte) (*big.Int, error) {
	return aggregator.Median(report)
}

func (codec) MaxReportLength(_ context.Context, n uint32) (uint32, error) {
	if n > aggregator.MaxOracles {
		return 0, fmt.Errorf("n: the contract takes at most %d oracles, got %d", aggregator.MaxOracles, n)
	}
	return uint32(aggregator.ReportLength(int(n))), nil
}

func (codec) EncodeOnchainConfig(_ context.Context, lowest, highest *big.Int) ([]byte, error) {
	encoded, err := aggregator.Onchain{Min: lowest, Max: highest}.Encode()
	if err != nil {
		return nil, fmt.Errorf("config.%w", err)
	}
	return encoded, nil
}

func (codec) DecodeOnchainConfig(_ context.Context, encoded []byte) (lowest, highest *big.Int, err error) {
	config, err := aggregator.DecodeOnchain(encoded)
	return config.Min, config.Max, err
}
