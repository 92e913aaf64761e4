package service

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// LatestHead implements relayerv1loop.Chain.
func (c *Chain[C, K, A, F]) LatestHead(context.Context,
	*relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	client, err := c.pool.Best()
	if err != nil {
		return nil, err
	}
	head := c.settings.Head(client)
	return &relayerv1.LatestHeadResponse{Number: head.Number, Hash: head.Hash, Timestamp: timestamppb.New(head.Time)}, nil
}

// Replay implements relayerv1loop.Chain.
func (c *Chain[C, K, A, F]) Replay(ctx context.Context,
	request *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	if c.settings.Replay == nil {
		return nil, status.Error(codes.Unimplemented, "this relayer keeps nothing that could be read again")
	}
	client, err := c.pool.Best()
	if err != nil {
		return nil, err
	}
	head := c.pool.Height()
	if c.settings.Head != nil {
		head = max(head, c.settings.Head(client).Number)
	}
	if request.GetFromBlock() > head {
		return nil, status.Errorf(codes.InvalidArgument, "from_block: %d is above the latest block, %d",
			request.GetFromBlock(), head)
	}
	if err := c.settings.Replay(ctx, request.GetFromBlock()); err != nil {
		return nil, AsUnavailable(err)
	}
	return &relayerv1.ReplayResponse{}, nil
}

// Transact implements relayerv1loop.Chain for relayers without FEATURE_TRANSACT.
func (c *Chain[C, K, A, F]) Transact(context.Context, *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	return nil, status.Error(codes.Unimplemented, "this relayer transfers nothing; use a wallet")
}

// ReadContract implements relayerv1loop.Chain for relayers without FEATURE_READ_CONTRACT.
func (c *Chain[C, K, A, F]) ReadContract(context.Context,
	*relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	return nil, status.Error(codes.Unimplemented,
		"this relayer reads no contracts for pipelines; read the contract through a bridge")
}
