package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// contracts reads contracts for pipelines, each through the relayer of its chain.
type contracts struct{ plugins *plugins }

// ReadContract implements pipeline.Contracts.
func (c contracts) ReadContract(ctx context.Context, read pipeline.ContractRead) ([]byte, error) {
	_, chain, err := c.plugins.chain("evm", read.ChainID)
	if err != nil {
		if ids := c.plugins.chainIDs("evm"); len(ids) > 0 {
			return nil, fmt.Errorf("this node has no enabled evm chain %q; it has %s", read.ChainID, strings.Join(ids, ", "))
		}
		return nil, err
	}
	response, err := chain.ReadContract(ctx, &relayerv1.ReadContractRequest{
		ContractId: read.Contract, CallData: read.Data, From: read.From, Block: read.Block, GasLimit: read.Gas,
	})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil, fmt.Errorf("the relayer of evm chain %s reads no contracts (%s); read this one through a bridge", read.ChainID, status.Convert(err).Message())
	case err != nil:
		return nil, errors.New(status.Convert(err).Message())
	}
	return response.GetReturnData(), nil
}
