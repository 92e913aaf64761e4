package evm_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// fakeNitro makes of the development chain's node what a relayer sees of one of Arbitrum's Nitro: blocks tell the
// parent chain's number, and the contract's latestConfigDetails has it in the place of the chain's own. It is a fake:
// the contract itself sees the chain's own numbers.
type fakeNitro struct {
	*relayertest.Server
	node   *rpc.Client
	asked  atomic.Int64 // how many blocks were asked for by their numbers
	pruned uint64       // how many of the first blocks it does not have any more
}

// parent is the parent chain's number at a block: it stays behind, as on Arbitrum One, and rises with each fifth block.
func parent(block uint64) uint64 { return 7 + block/5 }

func newFakeNitro(t *testing.T, d *devchain, pruned uint64) *fakeNitro {
	t.Helper()
	node, err := rpc.Dial(d.url)
	must(t, err)
	t.Cleanup(node.Close)
	n := &fakeNitro{Server: relayertest.NewServer(t, d.url), node: node, pruned: pruned}
	n.Answer("eth_getBlockByNumber", n.block)
	n.Answer("eth_call", n.call)
	n.Answer("eth_getLogs", n.logs)
	return n
}

// forward makes a call at the node behind the fake.
func (n *fakeNitro) forward(result any, method string, params json.RawMessage) error {
	var args []any
	if err := json.Unmarshal(params, &args); err != nil {
		return err
	}
	return n.node.Call(result, method, args...)
}

func (n *fakeNitro) block(params json.RawMessage) (any, error) {
	if !strings.Contains(string(params), `"latest"`) {
		n.asked.Add(1)
	}
	var block map[string]any
	if err := n.forward(&block, "eth_getBlockByNumber", params); err != nil || block == nil {
		return nil, err
	}
	number, err := hexutil.DecodeUint64(block["number"].(string))
	if number < n.pruned {
		return nil, err
	}
	block["l1BlockNumber"] = hexutil.Uint64(parent(number))
	return block, err
}

func (n *fakeNitro) logs(params json.RawMessage) (any, error) {
	logs := []map[string]any{}
	if from, _, err := span(params); err != nil || from < n.pruned {
		return logs, err
	}
	err := n.forward(&logs, "eth_getLogs", params)
	return logs, err
}

// span is from which block to which a call asks for logs.
func span(params json.RawMessage) (from, to uint64, err error) {
	var filters []struct{ FromBlock, ToBlock hexutil.Uint64 }
	if err := json.Unmarshal(params, &filters); err != nil {
		return 0, 0, err
	}
	return uint64(filters[0].FromBlock), uint64(filters[0].ToBlock), nil
}

func (n *fakeNitro) call(params json.RawMessage) (any, error) {
	var output hexutil.Bytes
	err := n.forward(&output, "eth_call", params)
	const latestConfigDetails = "0x81ff7048"
	if err == nil && strings.Contains(string(params), latestConfigDetails) {
		word := output[32:64] // of the block
		if block := binary.BigEndian.Uint64(word[24:]); block != 0 {
			binary.BigEndian.PutUint64(word[24:], parent(block))
		}
	}
	return output, err
}

// holdsConfig waits until a provider shows a configuration, and checks that it is in the block of its event.
func holdsConfig(t *testing.T, f *feed, p relayerv1loop.Provider, digest [32]byte, offchain string) {
	t.Helper()
	details := &relayerv1.LatestConfigDetailsResponse{}
	eventually(t, "the configuration is known", func() (ok bool) {
		var err error
		details, err = p.LatestConfigDetails(t.Context(), nil)
		return err == nil && [32]byte(details.GetConfigDigest()) == digest
	})
	own, err := f.LatestConfigDetails(nil)
	must(t, err)
	if details.GetChangedInBlock() != uint64(own.BlockNumber) {
		t.Errorf("it was set in block %d, want %d", details.GetChangedInBlock(), own.BlockNumber)
	}
	config, err := p.LatestConfig(t.Context(),
		&relayerv1.LatestConfigRequest{ChangedInBlock: details.GetChangedInBlock()})
	must(t, err)
	if got := string(config.GetConfig().GetOffchainConfig()); got != offchain {
		t.Errorf("the configuration is %q, want %q", got, offchain)
	}
}

// TestParentChainsNumbers checks that a configuration is found, and counts its confirmations, on a chain whose
// contracts see the parent chain's block numbers, at nodes that prune or fail, and with few calls. The chain is a fake.
func TestParentChainsNumbers(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("old")
	digest := f.configure("first") // in one block of the parent chain
	for range 200 {
		d.mine()
	}
	pruned, n := newFakeNitro(t, d, 100), newFakeNitro(t, d, 0)
	fails := errors.New("header not found")
	n.Answer("eth_getLogs", func(params json.RawMessage) (any, error) {
		if from, _, err := span(params); err != nil || from < pruned.pruned {
			return nil, fails
		}
		return n.logs(params)
	})
	x := newFixture(t)
	chain, _ := x.chain(settings("", [2]string{"", pruned.HTTPURL}, [2]string{"", n.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	eventually(t, "the reason is told", func() bool {
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.LatestConfigDetails(soon, nil)
		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "of the parent chain: ") &&
			strings.Contains(err.Error(), fails.Error())
	})
	n.Answer("eth_getLogs", n.logs)
	d.mine() // at which the contract is read again
	holdsConfig(t, f, p, digest, "first")
	height, err := d.client().BlockNumber(t.Context())
	must(t, err)
	most := int64(2 * 2 * bits.Len64(height)) // two searches, and the pruned node is asked first
	if asked := n.asked.Load() + pruned.asked.Load(); asked == 0 || asked > most {
		t.Errorf("%d blocks were asked for, of a chain of %d, want at most %d", asked, height, most)
	}
	eventually(t, "confirmations are counted by the chain's own numbers", func() bool {
		height, err := p.LatestBlockHeight(t.Context(), nil)
		return err == nil && height.GetBlockHeight() > 200
	})
	before := n.asked.Load() + pruned.asked.Load()
	holdsConfig(t, f, p, f.configure("second"), "second")
	if asked := n.asked.Load() + pruned.asked.Load(); asked > before {
		t.Errorf("%d blocks were asked for, though an event told where the configuration is", asked-before)
	}
}

// TestParentChainsNumberMisplaced checks that a configuration that a node puts in a wrong block is looked for again
// once no node has it there. The chain is a fake.
func TestParentChainsNumberMisplaced(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	digest := f.configure("first")
	for range 10 {
		d.mine()
	}
	n := newFakeNitro(t, d, 0)
	var wrong atomic.Bool
	wrong.Store(true)
	n.Answer("eth_getLogs", func(params json.RawMessage) (any, error) {
		logs, err := n.logs(params)
		if from, to, _ := span(params); wrong.Load() && from < to {
			for _, log := range logs.([]map[string]any) {
				log["blockNumber"] = hexutil.Uint64(to)
			}
		}
		return logs, err
	})
	x := newFixture(t)
	chain, _ := x.chain(settings("", [2]string{"", n.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, f.address)
	own, err := f.LatestConfigDetails(nil)
	must(t, err)
	var at uint64
	eventually(t, "the configuration is somewhere", func() bool {
		details, err := p.LatestConfigDetails(t.Context(), nil)
		at = details.GetChangedInBlock()
		return err == nil && [32]byte(details.GetConfigDigest()) == digest
	})
	if at == uint64(own.BlockNumber) {
		t.Fatalf("the fake's mistake was not taken")
	}
	wrong.Store(false)
	_, err = p.LatestConfig(t.Context(), &relayerv1.LatestConfigRequest{ChangedInBlock: at})
	if status.Code(err) != codes.NotFound {
		t.Errorf("in a block that has no configuration: %v", err)
	}
	eventually(t, "it is looked for again", func() bool {
		details, err := p.LatestConfigDetails(t.Context(), nil)
		return err == nil && details.GetChangedInBlock() == uint64(own.BlockNumber)
	})
	holdsConfig(t, f, p, digest, "first")
}
