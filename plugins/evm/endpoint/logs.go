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

// Filter selects events: those of the contracts whose first topic is one of the topics.
type Filter struct {
	Contracts []common.Address
	Topics    []common.Hash
}

// mostContracts is how many contracts go-ethereum takes in one eth_getLogs (its LogQueryLimit).
const mostContracts = 1000

// Logs reads the events of contracts from one block to another, both included, or as far as the server allows in one
// call: reached is the last block whose events it has.
//
// Its error is marked relayer.Answered or relayer.Unserved, or is a fault of the node.
func (c *Client) Logs(ctx context.Context, filter Filter, from, to uint64) (
	logs []types.Log, reached uint64, err error,
) {
	reached = to
	for left := filter.Contracts; len(left) > 0; {
		var (
			some []types.Log
			done int
		)
		if some, done, reached, err = c.logsOfSome(ctx, Filter{left, filter.Topics}, from, reached); err != nil {
			return nil, 0, err
		}
		logs, left = append(logs, some...), left[done:]
	}
	return slices.DeleteFunc(logs, func(l types.Log) bool { return l.BlockNumber > reached }), reached, nil
}

// logsOfSome reads the events of the first of the contracts, of as many as the server takes in one call.
func (c *Client) logsOfSome(ctx context.Context, filter Filter, from, to uint64) (
	logs []types.Log, done int, reached uint64, err error,
) {
	contracts := c.limits.contracts.atMost(min(uint64(len(filter.Contracts)), mostContracts))
	blocks := c.limits.span.atMost(min(to-from, c.page-1) + 1)
	for long, many := false, false; ; {
		some := Filter{filter.Contracts[:contracts], filter.Topics}
		reached = from + blocks - 1
		err := c.rpc.CallContext(ctx, &logs, "eth_getLogs", some.argument(from, reached))
		if err == nil {
			if long {
				c.limits.span.learn(blocks, believed)
			}
			if many {
				c.limits.contracts.learn(contracts, believed)
			}
			return some.checked(logs, from, reached), int(contracts), reached, nil
		}
		if fewer := fewerContracts(err, contracts); fewer > 0 {
			many, contracts = true, fewer
			continue
		}
		fewer := narrower(err, blocks)
		if fewer == 0 {
			return nil, 0, 0, fmt.Errorf("eth_getLogs: %w", classify(err))
		}
		long, blocks = true, fewer
	}
}

// fewerContracts is how many contracts to ask about after a server has refused so many; 0 if their number was not the
// reason.
func fewerContracts(err error, refused uint64) uint64 {
	var answer rpc.Error
	if refused < 2 || !errors.As(err, &answer) || !says(answer.Error(), addresses) || says(answer.Error(), ranges) {
		return 0
	}
	return cmp.Or(named(answer.Error(), refused), refused/2)
}

// narrower is how many blocks to ask about after a server has refused so many; 0 if fewer would change nothing.
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

// argument is the filter as eth_getLogs takes it. A single one stands without a list, which every server takes.
func (f Filter) argument(from, to uint64) map[string]any {
	argument := map[string]any{
		"address": f.Contracts, "topics": []any{f.Topics}, "fromBlock": hexutil.Uint64(from), "toBlock": hexutil.Uint64(to),
	}
	if len(f.Contracts) == 1 {
		argument["address"] = f.Contracts[0]
	}
	if len(f.Topics) == 1 {
		argument["topics"] = f.Topics
	}
	return argument
}

// checked keeps what was asked for: nodes are not trusted to filter.
func (f Filter) checked(logs []types.Log, from, to uint64) []types.Log {
	asked := make(map[common.Address]bool, len(f.Contracts))
	for _, contract := range f.Contracts {
		asked[contract] = true
	}
	return slices.DeleteFunc(logs, func(l types.Log) bool {
		return !asked[l.Address] || l.Removed || !begins(l, f.Topics) || l.BlockNumber < from || l.BlockNumber > to
	})
}

// begins tells whether an event's first topic is one of some.
func begins(log types.Log, topics []common.Hash) bool {
	return len(log.Topics) > 0 && slices.Contains(topics, log.Topics[0])
}
