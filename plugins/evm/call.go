package evm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
)

// maxReturned is the most bytes that the contract of the plugin lets an answer have.
const maxReturned = 1 << 20

// ReadContract implements relayerv1loop.Chain by one eth_call to the best node, and to the next if that one fails.
func (c *Chain) ReadContract(ctx context.Context,
	request *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	read := endpoint.Read{Input: request.GetCallData(), Gas: request.GetGasLimit()}
	var err error
	if read.Contract, err = account.Parse(request.GetContractId()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "contract_id: %v", err)
	}
	if from := request.GetFrom(); from != "" {
		if read.From, err = account.Parse(from); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "from: %v", err)
		}
	}
	if read.Block, err = block(request.GetBlock()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "block: %v", err)
	}
	var output []byte
	err = c.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var err error
		output, err = client.Read(ctx, read)
		return err
	})
	var reverted *endpoint.RevertedError
	switch {
	case errors.As(err, &reverted):
		return nil, status.Errorf(codes.FailedPrecondition, "the contract %s reverts the call: %v", read.Contract, reverted)
	case err != nil && status.Code(err) != codes.Unknown:
		return nil, err
	case err != nil:
		return nil, status.Errorf(codes.FailedPrecondition, "the call of contract %s is refused: %v", read.Contract, err)
	case len(output) == 0:
		return nil, status.Errorf(codes.NotFound,
			"nothing answers at %s on chain %s: there is no contract, or it has no such function; check the address, the "+
				"chain and the call", read.Contract, c.config.ChainID)
	case len(output) > maxReturned:
		return nil, status.Errorf(codes.ResourceExhausted,
			"the contract %s answers with %d bytes, and at most %d are passed on", read.Contract, len(output), maxReturned)
	}
	return &relayerv1.ReadContractResponse{ReturnData: output}, nil
}

// blockWords are the names that EVM nodes have for blocks.
var blockWords = []string{"latest", "pending", "safe", "finalized", "earliest"}

// block is a block as eth_call takes it.
func block(text string) (string, error) {
	if text == "" {
		return "latest", nil
	}
	if word := strings.ToLower(text); slices.Contains(blockWords, word) {
		return word, nil
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%q is not a block; write its number, or one of %s", text, strings.Join(blockWords, ", "))
	}
	return hexutil.EncodeUint64(number), nil
}
