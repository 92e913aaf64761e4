package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Logs reads the events of a contract with one topic from one block to another, both included, or as far as the
// server lets one call read: reached is the last block of which it has them.
//
// Its error is marked relayer.Answered or relayer.Unserved, or a fault of the node.
func (c *Client) Logs(ctx context.Context, contract common.Address, topic common.Hash, from, to uint64) (
	logs []types.Log, reached uint64, err error,
) {
	blocks := c.limits.span.atMost(min(to-from, c.page-1) + 1)
	for refused := false; ; {
		reached = from + blocks - 1
		err := c.rpc.CallContext(ctx, &logs, "eth_getLogs", filter(contract, topic, from, reached))
		if err == nil {
			if refused {
				c.limits.span.learn(blocks, believed)
			}
			return checked(logs, contract, topic), reached, nil
		}
		fewer := narrower(err, blocks)
		if fewer == 0 {
			return nil, 0, fmt.Errorf("eth_getLogs: %w", classify(err))
		}
		refused, blocks = true, fewer
	}
}

// narrower is of how many blocks to ask after a server has refused so many; 0 if that would change nothing.
func narrower(err error, refused uint64) uint64 {
	if refused < 2 {
		return 0
	}
	var status relayer.StatusCode
	if errors.As(err, &status) && status == http.StatusRequestEntityTooLarge {
		return refused / 2
	}
	var answer rpc.Error
	if !errors.As(err, &answer) {
		return 0
	}
	var data any
	var detailed rpc.DataError
	if errors.As(err, &detailed) {
		data = detailed.ErrorData()
	}
	if n := proposedBy(data, refused); n > 0 {
		return n
	}
	text := answer.Error()
	if says(text, faults) || !says(text, ranges) {
		return 0
	}
	return cmp.Or(proposedIn(text, refused), named(text, refused), refused/2)
}

func filter(contract common.Address, topic common.Hash, from, to uint64) map[string]any {
	return map[string]any{
		"address": contract, "topics": []common.Hash{topic},
		"fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to),
	}
}

// checked keeps what was asked for: nodes are not trusted to filter.
func checked(logs []types.Log, contract common.Address, topic common.Hash) []types.Log {
	return slices.DeleteFunc(logs, func(l types.Log) bool {
		return l.Address != contract || l.Removed || len(l.Topics) == 0 || l.Topics[0] != topic
	})
}
