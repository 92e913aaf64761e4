package solana

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// CreateProvider implements relayerv1loop.Chain.
func (c *Chain) CreateProvider(_ context.Context,
	request *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	job, err := c.Job(request)
	if err != nil {
		return nil, nil, err
	}
	limit := request.GetGasLimit()
	if limit > maxUnits {
		return nil, nil, status.Errorf(codes.InvalidArgument,
			"gas_limit: the chain gives a transaction %d compute units at most, got %d", maxUnits, limit)
	}
	accounts := accountsOf(job)
	return c.Provider(request.GetName(), job, accounts, service.Served{
		Codec: codec{}, Digest: reportDigest,
		Payload: func(_ context.Context, report service.Report) ([]byte, error) {
			return payload(accounts, job.Transmitter, limit, report)
		},
	})
}

// payload is the instruction that transmits a report.
func payload(accounts ocr2.Contract, from string, limit uint32, report service.Report) ([]byte, error) {
	if _, err := ocr2.ParseReport(report.Report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	transmitter, err := account.Parse(from)
	if err != nil {
		return nil, err
	}
	instruction, err := accounts.Transmit(transmitter, report.Context(), report.Report, report.Signatures)
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	call := account.NewCall(instruction)
	call.Limit = limit
	return call.Encode()
}
