package endpoint

import (
	"context"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestThrottle checks that a provider's limit is none of the chain's answers, and no answer of the chain's a limit.
func TestThrottle(t *testing.T) {
	t.Parallel()
	reverted := func(code int, reason string) relayertest.RPCError {
		return relayertest.RPCError{Code: code, Message: "execution reverted: " + reason}
	}
	relayertest.Throttle(t, relayertest.Throttles{
		Results: map[string]any{
			"eth_chainId":          "0x1",
			"eth_getBlockByNumber": map[string]any{"number": "0x64", "hash": common.Hash{1}, "timestamp": "0x1"},
			"eth_call":             "0x2a",
		},
		Method: "eth_call",
		Open: func(urls []string) (relayertest.Pool, func(context.Context) error) {
			var nodes []relayer.Node[*Client]
			for i, url := range urls {
				nodes = append(nodes, relayer.Node[*Client]{Name: fmt.Sprint("n", i), Driver: NewDriver(Settings{
					HTTPURL: url, ChainID: big.NewInt(1), PollInterval: time.Hour, Timeout: time.Minute, Contracts: &Contracts{},
				})})
			}
			pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute}, nodes)
			return pool, func(ctx context.Context) error {
				return pool.Do(ctx, func(ctx context.Context, c *Client) error {
					return c.Batch(ctx, []rpc.BatchElem{View(common.Address{1}, []byte{1}, new(hexutil.Bytes))})
				})
			}
		},
		Own: map[string]relayertest.RPCError{
			"EIP-1474's code": {Code: -32005, Message: "slow down"},
			"credits":         {Code: -32012, Message: "credits"},
		},
		Answers: map[string]relayertest.RPCError{
			"a contract's limit of a day":     reverted(3, "daily limit"),
			"a contract's limit of a rate":    reverted(3, "rate limit exceeded"),
			"a contract's limit, in old code": reverted(-32000, "RateLimiter: limit exceeded"),
			"a limit of gas":                  {Code: -32005, Message: "Transaction gas limit '9' exceeds max gas limit '5'"},
			"a limit of units":                {Code: -32000, Message: "exceeded the CU limit of a transaction"},
		},
	})
}
