package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestSendOnly checks that a node for sending need answer nothing but which chain it serves, and must serve the right
// one.
func TestSendOnly(t *testing.T) {
	t.Parallel()
	server := relayertest.NewServer(t, "")
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x1", nil })
	d := NewDriver(Settings{
		HTTPURL: server.HTTPURL, WSURL: server.WSURL, ChainID: big.NewInt(1), SendOnly: true,
		PollInterval: time.Millisecond, Timeout: time.Minute, Contracts: &Contracts{},
	})
	c, err := d.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Disconnect(c)
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	err = d.Watch(ctx, c, func(height uint64) {
		if told++; told == 3 {
			cancel()
		}
		if height != 0 {
			t.Errorf("it tells of block %d", height)
		}
	})
	chains, blocks := server.Requests("eth_chainId"), server.Requests("eth_getBlockByNumber")
	if !errors.Is(err, context.Canceled) || chains < 3 || blocks > 0 {
		t.Errorf("watching it ended with %v after %d questions for its chain and %d for a block", err, chains, blocks)
	}
	server.Answer("eth_chainId", func(json.RawMessage) (any, error) { return "0x2", nil })
	if err := d.Watch(t.Context(), c, func(uint64) {}); !errors.Is(err, relayer.ErrWrongChain) {
		t.Errorf("on another chain: %v", err)
	}
}

func TestFinalized(t *testing.T) {
	t.Parallel()
	server := scripted(t)
	c, err := connect(t, server)
	if err != nil {
		t.Fatal(err)
	}
	block := map[string]any{"number": "0x63", "hash": common.Hash{1}, "timestamp": "0x1"}
	for name, answer := range map[string]struct {
		result any
		err    error
		want   uint64
		fails  bool
	}{
		"a block": {block, nil, 99, false}, "none yet": {nil, nil, 0, false},
		"none yet, as go-ethereum": {nil, errors.New("finalized block not found"), 0, false},
		"no such tag":              {nil, errors.New("invalid block tag"), 0, true},
		"nonsense":                 {"latest", nil, 0, true},
	} {
		server.Answer("eth_getBlockByNumber", func(params json.RawMessage) (any, error) {
			if string(params) != `["finalized",false]` {
				t.Errorf("%s: asked for %s", name, params)
			}
			return answer.result, answer.err
		})
		if got, err := c.Finalized(t.Context()); got != answer.want || (err != nil) != answer.fails {
			t.Errorf("%s: block %d, %v", name, got, err)
		}
	}
}
