package starknet

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// ReadContract implements relayerv1loop.Chain. Nothing asks for it: no task of a pipeline encodes calls for Starknet.
func (c *Chain) ReadContract(context.Context, *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	return nil, status.Error(codes.Unimplemented, "this relayer reads no contracts for pipelines; read the contract through a bridge")
}
