package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// LatestBlock is the part of a batch that reads the newest block.
func LatestBlock(head *Head) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_getBlockByNumber", Args: []any{"latest", false}, Result: head}
}

// Finalized is the number of the block that the chain itself calls final; 0 while there is none.
func (c *Client) Finalized(ctx context.Context) (uint64, error) {
	var block *Head
	err := c.rpc.CallContext(ctx, &block, "eth_getBlockByNumber", "finalized", false)
	var answer rpc.Error
	switch {
	case errors.As(err, &answer) && says(answer.Error(), noneFinal), err == nil && block == nil:
		return 0, nil
	case err != nil:
		err = classify(err)
		failure := fmt.Errorf("read the finalized block, which FinalityTagEnabled wants: %w", err)
		if isAnswer(err) {
			failure = relayer.Answered(failure)
		}
		return 0, failure
	}
	return block.Number, nil
}

// View is the part of a batch that asks a contract at the newest block. Check its result by Output.
func View(contract common.Address, input []byte, output *hexutil.Bytes) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_call", Args: []any{Object(contract, input), "latest"}, Result: output}
}

// Object is a call in the form of eth_call and eth_estimateGas. Its bytes have both names, because some servers know
// only "data" and some prefer "input", and those that know both accept them if they are equal.
func Object(to common.Address, input []byte) map[string]any {
	return map[string]any{"to": to, "input": hexutil.Bytes(input), "data": hexutil.Bytes(input)}
}

// Read is a call of a contract without a transaction.
type Read struct {
	Contract, From common.Address
	Input          []byte
	Block          string // a name that nodes know, or a number in their hexadecimal
	Gas            uint64 // 0 means the node's own limit
}

// Read calls a contract. Its error is a fault of the node, or is marked relayer.Answered; one of the latter is a
// RevertedError.
func (c *Client) Read(ctx context.Context, r Read) ([]byte, error) {
	call := Object(r.Contract, r.Input)
	call["from"] = r.From
	if r.Gas > 0 {
		call["gas"] = hexutil.Uint64(r.Gas)
	}
	var output hexutil.Bytes
	err := c.rpc.CallContext(ctx, &output, "eth_call", call, r.Block)
	if reverted := revertOf(err); reverted != nil {
		return nil, relayer.Answered(reverted)
	}
	if err != nil {
		return nil, fmt.Errorf("eth_call: %w", classify(err))
	}
	return output, nil
}

// errNoContract is the answer of an address without a contract: nodes answer calls to it with nothing.
var errNoContract = errors.New("there is no contract at this address; check the contract's address and the chain")

// Output checks the result of a View.
func Output(output hexutil.Bytes) ([]byte, error) {
	if len(output) == 0 {
		return nil, relayer.Answered(errNoContract)
	}
	return output, nil
}
