package evm

import (
	"cmp"
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// CreateProvider implements relayerv1loop.Chain.
func (c *Chain) CreateProvider(_ context.Context,
	request *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	job, err := c.Job(request)
	if err != nil {
		return nil, nil, err
	}
	gasLimit := cmp.Or(uint64(request.GetGasLimit()), c.config.transmissionGas())
	if gasLimit < leastGas {
		return nil, nil, status.Errorf(codes.InvalidArgument, "gas_limit: a transaction takes at least 21000, got %d",
			gasLimit)
	}
	address := common.HexToAddress(job.Contract)
	return c.Provider(request.GetName(), job, address, service.Served{
		Codec: codec{}, Digest: reportDigest,
		Payload: func(ctx context.Context, report service.Report) ([]byte, error) {
			return payload(ctx, address, gasLimit, report)
		},
	})
}

// payload is the call that transmits a report.
func payload(ctx context.Context, contract common.Address, gas uint64, report service.Report) ([]byte, error) {
	if _, err := (codec{}).Median(ctx, report.Report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	input, err := aggregator.Transmit(report.Context(), report.Report, report.Signatures)
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	return account.Call{To: contract, Data: input, Gas: gas}.Encode()
}
