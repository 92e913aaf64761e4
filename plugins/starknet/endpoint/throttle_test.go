package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestThrottle checks that a provider's limit is none of the chain's answers, and no answer of the chain's a limit.
func TestThrottle(t *testing.T) {
	t.Parallel()
	reverted := func(code Code, reason string) relayertest.RPCError {
		return relayertest.RPCError{Code: int(code), Message: "Contract error", Data: map[string]any{"revert_error": reason}}
	}
	relayertest.Throttle(t, relayertest.Throttles{
		Results: map[string]any{
			"starknet_specVersion": "0.10.0", "starknet_chainId": "0x1", "starknet_call": []string{"0x2a"},
			"starknet_getBlockWithTxHashes": map[string]any{"block_number": 1, "block_hash": "0x1", "timestamp": 1},
		},
		Method: "starknet_call",
		Open: func(urls []string) (relayertest.Pool, func(context.Context) error) {
			var nodes []relayer.Node[*Client]
			for i, url := range urls {
				nodes = append(nodes, relayer.Node[*Client]{Name: fmt.Sprint("n", i), Driver: NewDriver(Settings{
					URL: url, ChainID: stark.FromUint64(1), PollInterval: time.Hour, Timeout: time.Minute,
				})})
			}
			pool := relayer.NewPool(relayer.PoolSettings{Timeout: time.Minute}, nodes)
			return pool, func(ctx context.Context) error {
				return pool.Do(ctx, func(ctx context.Context, c *Client) error {
					_, err := c.View(ctx, stark.FromUint64(1), stark.FromUint64(2))
					return err
				})
			}
		},
		Own: map[string]relayertest.RPCError{
			"EIP-1474's code":   {Code: -32005, Message: "slow down"},
			"a code of its own": {Code: 15, Message: "Too many requests"},
		},
		Answers: map[string]relayertest.RPCError{
			"a contract's limit of a day":  reverted(CodeContractError, "0x1 ('daily limit')"),
			"a contract's limit of a rate": reverted(CodeContractError, "0x1 ('rate limit exceeded')"),
			"a limit while it executes":    reverted(CodeExecutionError, "limit exceeded"),
			"a limit while it validates":   {Code: int(CodeValidationFailure), Message: "capacity exceeded"},
			"a page":                       {Code: 31, Message: "Requested page size is too big"},
			"events":                       {Code: -32602, Message: "exceeded the maximum number of events"},
			"no such parameter":            {Code: -32602, Message: "Invalid params"},
			"no request":                   {Code: -32600, Message: "Invalid Request"},
		},
	})
}

// TestViewsOfANodeThatLimits checks that a limit by which a provider answers a batch does not have the calls made one
// by one, and that one of batches does.
func TestViewsOfANodeThatLimits(t *testing.T) {
	t.Parallel()
	const rate, size = "50/second request limit reached", "batch limit exceeded"
	for message, want := range map[string]int64{rate: 1, size: 6} {
		for shape, body := range map[string]func(failure any) any{
			"object": func(failure any) any { return failure },
			"array":  func(failure any) any { return []any{failure} },
		} {
			client, requests := batching(t, func(w http.ResponseWriter, _ []request) {
				failure := map[string]any{"id": nil, "error": map[string]any{"code": -32007, "message": message}}
				_ = json.NewEncoder(w).Encode(body(failure))
			})
			err := client.Views(t.Context(), asks(4))
			var refused *refusal
			if n := requests.Load(); (err != nil) != (message == rate) || errors.As(err, &refused) || n != want {
				t.Errorf("%s in an %s: %v after %d requests, want %d", message, shape, err, n, want)
			}
		}
	}
}
