package solana

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// ReadContract implements relayerv1loop.Chain.
func (c *Chain) ReadContract(context.Context, *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	return nil, status.Error(codes.Unimplemented,
		"programs on Solana answer no calls: their state stands in accounts; read it through a bridge")
}
