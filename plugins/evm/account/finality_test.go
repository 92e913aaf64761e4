package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// TestFinality checks which of the blocks below 100, the newest, are final: by their depth, or by the chain's own word,
// each less an offset.
func TestFinality(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		depth, offset uint64
		tag           string // the block "finalized"; empty: it is not asked for
		want          int    // the newest final block
		fails         bool
	}{
		"depth":                 {depth: 5, want: 95},
		"depth, offset":         {depth: 5, offset: 3, want: 92},
		"deeper than the chain": {depth: 200},
		"tag":                   {depth: 5, tag: "0x40", want: 64},
		"tag, offset":           {depth: 5, tag: "0x40", offset: 4, want: 60},
		"offset beyond the tag": {depth: 5, tag: "0x2", offset: 4},
		"none is final":         {depth: 5, tag: "none"},
		"no such tag":           {depth: 5, tag: "unknown", fails: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, server := scripted(t, mine, true)
			account.settings.FinalityDepth, account.settings.FinalityOffset = c.depth, c.offset
			account.settings.FinalityTag = c.tag != ""
			server.Answer("eth_getBlockByNumber", func(params json.RawMessage) (any, error) {
				block := map[string]any{"number": "0x64", "hash": common.Hash{1}, "timestamp": "0x1", "baseFeePerGas": "0x7"}
				switch {
				case !strings.Contains(string(params), "finalized"):
					return block, nil
				case c.tag == "none":
					return nil, nil
				case c.tag == "unknown" || c.tag == "":
					return nil, errors.New("invalid block tag")
				}
				block["number"] = c.tag
				return block, nil
			})
			server.Answer("eth_getTransactionCount", func(json.RawMessage) (any, error) { return "0x65", nil })
			var flights []relayer.Flight
			for block := range 101 {
				hash := fmt.Sprintf("0x%064x", block)
				flights = append(flights, relayer.Flight{Sequence: uint64(block), Attempts: []relayer.Attempt{{Hash: hash}}})
			}
			server.Answer("eth_getTransactionReceipt", func(params json.RawMessage) (any, error) {
				var hashes []common.Hash
				if err := json.Unmarshal(params, &hashes); err != nil {
					return nil, err
				}
				return map[string]any{"blockNumber": fmt.Sprintf("0x%x", hashes[0].Big()), "status": "0x1"}, nil
			})
			survey, err := account.Survey(t.Context(), flights[1:], nil)
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), "FinalityTagEnabled") ||
					!strings.Contains(err.Error(), "invalid block tag") {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			newest := 0
			for i, outcome := range survey.Outcomes {
				if outcome.State == relayer.SucceededForGood {
					newest = i + 1
				}
			}
			if diff := cmp.Diff(c.want, newest); diff != "" {
				t.Errorf("the newest final block:\n%s", diff)
			}
		})
	}
}
