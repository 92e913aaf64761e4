package endpoint

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestThrottle checks that a provider's limit is none of the chain's answers, and no answer of the chain's a limit.
func TestThrottle(t *testing.T) {
	t.Parallel()
	simulated := func(failure string) relayertest.RPCError {
		return relayertest.RPCError{Code: -32002, Message: "Transaction simulation failed: " + failure}
	}
	relayertest.Throttle(t, relayertest.Throttles{
		Results: map[string]any{"getGenesisHash": "a", "getSlot": 1, "getBlock": rpc.M{}},
		Method:  "getBlock",
		Open: func(urls []string) (relayertest.Pool, func(context.Context) error) {
			var nodes []relayer.Node[*Client]
			for i, url := range urls {
				d := driver(url)
				d.settings.PollInterval = time.Hour
				nodes = append(nodes, relayer.Node[*Client]{Name: fmt.Sprint("n", i), Driver: d})
			}
			pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute}, nodes)
			return pool, func(ctx context.Context) error {
				return pool.Do(ctx, func(ctx context.Context, c *Client) error {
					_, err := c.Block(ctx, 7)
					return err
				})
			}
		},
		Answers: map[string]relayertest.RPCError{
			"a slot that was skipped": {
				Code: -32007, Message: "Slot 7 was skipped, or missing due to ledger jump to recent snapshot",
			},
			"a limit of units":       {Code: -32000, Message: "exceeded the CU limit of a transaction"},
			"a limit of signatures":  {Code: -32602, Message: "Invalid limit; max 1000"},
			"units":                  simulated("Error processing Instruction 0: exceeded CUs meter at BPF instruction"),
			"a budget":               simulated("Error processing Instruction 0: Computational budget exceeded"),
			"a budget, as of old":    simulated("Error processing Instruction 0: compute budget exceeded"),
			"a limit of a block":     simulated("Transaction would exceed max Block Cost Limit"),
			"words of a program's":   simulated("rate limit exceeded"),
			"a limit of a program's": simulated("Error processing Instruction 0: loaded accounts data size limit exceeded"),
		},
	})
}
