package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Logs reads the events of a contract with one topic from one block to another, both included.
func (c *Client) Logs(ctx context.Context, contract common.Address, topic common.Hash, from, to uint64) ([]types.Log, error) {
	var logs []types.Log
	err := c.Call(ctx, &logs, "eth_getLogs", filter(contract, topic, from, hexutil.Uint64(to)))
	return CheckLogs(logs, contract, topic), err
}

// LatestLogs is the part of a batch that reads events from a block on. What it returned must pass CheckLogs.
func LatestLogs(contract common.Address, topic common.Hash, from uint64, logs *[]types.Log) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_getLogs", Args: []any{filter(contract, topic, from, "latest")}, Result: logs}
}

func filter(contract common.Address, topic common.Hash, from uint64, to any) map[string]any {
	return map[string]any{"address": contract, "topics": []common.Hash{topic}, "fromBlock": hexutil.Uint64(from), "toBlock": to}
}

// CheckLogs keeps what was asked for: nodes are not trusted to filter.
func CheckLogs(logs []types.Log, contract common.Address, topic common.Hash) []types.Log {
	return slices.DeleteFunc(logs, func(l types.Log) bool {
		return l.Address != contract || l.Removed || len(l.Topics) == 0 || l.Topics[0] != topic
	})
}

// LatestBlock is the part of a batch that reads the newest block.
func LatestBlock(head *Head) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_getBlockByNumber", Args: []any{"latest", false}, Result: head}
}

// View is the part of a batch that asks a contract at the newest block. What it returned must pass Output.
func View(contract common.Address, input []byte, output *hexutil.Bytes) rpc.BatchElem {
	return rpc.BatchElem{Method: "eth_call", Args: []any{map[string]any{"to": contract, "input": hexutil.Bytes(input)}, "latest"}, Result: output}
}

// Read is a call of a contract without a transaction.
type Read struct {
	Contract, From common.Address
	Input          []byte
	Block          string // a name that nodes know, or a number in their hexadecimal
	Gas            uint64 // 0: the node's own limit
}

// Read calls a contract. Its error is a fault of the node, or marked relayer.Answered; one of these is a RevertedError.
func (c *Client) Read(ctx context.Context, r Read) ([]byte, error) {
	call := map[string]any{"to": r.Contract, "from": r.From, "input": hexutil.Bytes(r.Input)}
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

// Output checks what a View returned.
func Output(output hexutil.Bytes) ([]byte, error) {
	if len(output) == 0 {
		return nil, relayer.Answered(errNoContract)
	}
	return output, nil
}
