package evm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// shows waits until a provider shows the epoch of its contract's newest transmission.
func shows(t *testing.T, p relayerv1loop.Provider, epoch uint32) {
	t.Helper()
	eventually(t, fmt.Sprintf("epoch %d is seen", epoch), func() bool {
		got, err := p.LatestConfigDigestAndEpoch(t.Context(), &relayerv1.LatestConfigDigestAndEpochRequest{})
		return err == nil && got.GetEpoch() == epoch
	})
}

// TestFeedsShareTheirCalls holds what a block costs a relayer however many feeds it has: one call for all events, and
// none of a contract's. What a transaction costs besides does not depend on the blocks until it is final.
func TestFeedsShareTheirCalls(t *testing.T) {
	t.Parallel()
	const blocks = 20
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	feeds := newFeeds(d, o, 12)
	server := relayertest.NewServer(t, d.url)
	x := newFixture(t, o.transmitters[0])
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	providers := make([]relayerv1loop.Provider, len(feeds))
	digest := [32]byte(feeds[0].configure("a"))
	for i, f := range feeds {
		if i > 0 {
			f.configure("a")
		}
		providers[i], _ = x.provider(chain, fmt.Sprint("p", i), f.address, me)
		shows(t, providers[i], 0)
	}
	// pass makes blocks, each of which the relayer has seen before the next is made.
	pass := func(n int) {
		t.Helper()
		for range n {
			d.mine()
			block, err := d.client().BlockNumber(t.Context())
			must(t, err)
			for _, p := range providers {
				eventually(t, "the block is seen", func() bool {
					height, err := p.LatestBlockHeight(t.Context(), &relayerv1.LatestBlockHeightRequest{})
					return err == nil && height.GetBlockHeight() >= block
				})
			}
		}
	}
	pass(2)
	views, events := server.Requests("eth_call"), server.Requests("eth_getLogs")
	pass(blocks)
	if n := server.Requests("eth_call") - views; n != 0 {
		t.Errorf("contracts of which nothing is new are asked %d times in %d blocks", n, blocks)
	}
	if n := server.Requests("eth_getLogs") - events; n > 2*blocks {
		t.Errorf("events are read %d times in %d blocks", n, blocks)
	}

	_, err := providers[0].Transmit(t.Context(), feeds[0].report(digest, 1, 1, 42))
	must(t, err)
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := feeds[0].latest(); return answer == 42 })
	shows(t, providers[0], 1)
	eventually(t, "who transmitted is known", func() bool {
		latest, err := providers[0].LatestTransmissionDetails(t.Context(), nil)
		return err == nil && latest.GetTransmitter() == me.Hex()
	})
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := server.Requests("eth_getTransactionReceipt"); n > 3 {
		t.Errorf("the receipt is read %d times, want when a block has it and when it is final", n)
	}
}

// TestEventsThatVanish holds that a contract is read when what its events told holds no longer, and when one came too
// late to be read with its block.
func TestEventsThatVanish(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	digest := f.configure("a")
	server := relayertest.NewServer(t, d.url)
	var hidden atomic.Bool
	server.Answer("eth_getLogs", func(params json.RawMessage) (any, error) {
		var filter []struct{ FromBlock, ToBlock hexutil.Uint64 }
		if err := json.Unmarshal(params, &filter); err != nil || hidden.Load() {
			return []any{}, err
		}
		return d.client().FilterLogs(t.Context(), ethereum.FilterQuery{
			FromBlock: new(big.Int).SetUint64(uint64(filter[0].FromBlock)),
			ToBlock:   new(big.Int).SetUint64(uint64(filter[0].ToBlock)), Addresses: []common.Address{f.address},
		})
	})
	x := newFixture(t, o.transmitters[0])
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, me)
	shows(t, p, 0)
	hidden.Store(true)
	_, err := p.Transmit(t.Context(), f.report(digest, 1, 1, 42))
	must(t, err)
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 42 })
	d.mine()
	hidden.Store(false)
	shows(t, p, 1)
	// Two blocks above the report's, and no more: events of a block that is far behind are not read again.
	d.mine()
	eventually(t, "the store is empty", func() bool { return len(x.Keys()) == 0 })
	views := server.Requests("eth_call")
	hidden.Store(true)
	eventually(t, "the contract is read again", func() bool {
		d.mine()
		return server.Requests("eth_call") > views
	})
	shows(t, p, 1)
}

// TestPushedTransmissionsSpareTheirContract holds that a contract whose events are pushed and read is not read itself,
// although it logs more than these events for each report.
func TestPushedTransmissionsSpareTheirContract(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	sender, watcher := address(o.transmitters[0]), address(o.transmitters[1])
	d := newDevchain(t, sender)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	sending, _ := x.chain(settings("", [2]string{"", d.url}))
	from, _ := x.provider(sending, "from", f.address, sender)
	server := relayertest.NewServer(t, d.url)
	// Polling would take minutes: what is seen was pushed.
	pushed := settings("", [2]string{strings.Replace(d.url, "http", "ws", 1), server.HTTPURL})
	y := newFixture(t, o.transmitters[1])
	watching, _ := y.chain(strings.Replace(pushed, "50ms", "5m", 1))
	p, _ := y.provider(watching, "p", f.address, watcher)
	shows(t, p, 0)
	views := server.Requests("eth_call")
	for epoch := range uint32(6) {
		_, err := from.Transmit(t.Context(), f.report(digest, epoch+1, 1, int64(epoch)+42))
		must(t, err)
		d.mineUntil("the report is in the contract", func() bool {
			_, _, answer := f.latest()
			return answer == int64(epoch)+42
		})
		shows(t, p, epoch+1)
	}
	if n := server.Requests("eth_call") - views; n != 0 {
		t.Errorf("the contract was read %d times although its events told all", n)
	}
}

// TestPushedEventsThatAreNotRead holds that an event which a node pushes, and which the node does not have that is
// asked for its block, has its contract read.
func TestPushedEventsThatAreNotRead(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	digest := f.configure("a")
	server := relayertest.NewServer(t, d.url)
	server.Answer("eth_getLogs", func(json.RawMessage) (any, error) { return []any{}, nil })
	x := newFixture(t, o.transmitters[0])
	push := strings.Replace(d.url, "http", "ws", 1)
	// The poll alone must not find out that the push is late, and open it anew: the report could land meanwhile.
	chain, _ := x.chain(strings.Replace(settings("", [2]string{push, server.HTTPURL}), "50ms", "5m", 1))
	p, _ := x.provider(chain, "p", f.address, me)
	shows(t, p, 0)
	epoch := uint32(0)
	transmit := func() {
		t.Helper()
		epoch++
		_, err := p.Transmit(t.Context(), f.report(digest, epoch, 1, int64(epoch)+42))
		must(t, err)
		d.mineUntil("the report is in the contract", func() bool {
			_, _, answer := f.latest()
			return answer == int64(epoch)+42
		})
	}
	// An event of before the subscription is not pushed, and nothing else tells of it here.
	eventually(t, "the node pushes events", func() bool {
		transmit()
		latest, err := p.LatestConfigDigestAndEpoch(t.Context(), &relayerv1.LatestConfigDigestAndEpochRequest{})
		return err == nil && latest.GetEpoch() > 0
	})
	for range 2 {
		transmit()
		shows(t, p, epoch)
	}
}

// TestOneFeedOfManyIsUnreadable holds that a contract which makes a node fail keeps no other from being read, and no
// other's report from being sent.
func TestOneFeedOfManyIsUnreadable(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	feeds := newFeeds(d, o, 3)
	server := relayertest.NewServer(t, d.url)
	bad := strings.ToLower(feeds[1].address.Hex())
	server.Answer("eth_call", func(params json.RawMessage) (any, error) {
		if strings.Contains(strings.ToLower(string(params)), bad) {
			return nil, errors.New("missing trie node")
		}
		var call struct {
			To   common.Address
			Data hexutil.Bytes
		}
		var all []json.RawMessage
		if err := errors.Join(json.Unmarshal(params, &all), json.Unmarshal(all[0], &call)); err != nil {
			return nil, err
		}
		output, err := d.client().CallContract(t.Context(), ethereum.CallMsg{To: &call.To, Data: call.Data}, nil)
		return hexutil.Bytes(output), err
	})
	x := newFixture(t, o.transmitters[0])
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	for i, f := range feeds {
		digest := f.configure("a")
		p, _ := x.provider(chain, fmt.Sprint("p", i), f.address, me)
		_, err := p.Transmit(t.Context(), f.report(digest, 1, 1, 42))
		must(t, err)
		if i == 1 {
			continue
		}
		d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 42 })
		shows(t, p, 1)
	}
	if _, _, answer := feeds[1].latest(); answer != 0 {
		t.Error("a report was sent to a contract that could not be asked whether it is stale")
	}
}

// TestChainGoesBack holds that a chain which begins anew below the blocks that were read is followed all the same.
func TestChainGoesBack(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	digest := f.configure("a")
	server := relayertest.NewServer(t, d.url)
	ahead := func(params json.RawMessage) (any, error) {
		header, err := d.client().HeaderByNumber(t.Context(), nil)
		if err != nil {
			return nil, err
		}
		return map[string]any{
			"number": hexutil.Uint64(header.Number.Uint64() + 1000), "hash": header.Hash(),
			"timestamp":     hexutil.Uint64(header.Time),
			"baseFeePerGas": (*hexutil.Big)(header.BaseFee),
		}, nil
	}
	server.Answer("eth_getBlockByNumber", ahead)
	x := newFixture(t, o.transmitters[0])
	chain, _ := x.chain(settings("", [2]string{"", server.HTTPURL}))
	p, _ := x.provider(chain, "p", f.address, me)
	shows(t, p, 0)
	server.Answer("eth_getBlockByNumber", nil)
	_, err := p.Transmit(t.Context(), f.report(digest, 1, 1, 42))
	must(t, err)
	d.mineUntil("the report is in the contract", func() bool { _, _, answer := f.latest(); return answer == 42 })
	block, err := d.client().BlockNumber(t.Context())
	must(t, err)
	shows(t, p, 1)
	d.mineUntil("the newest block is the chain's", func() bool {
		height, err := p.LatestBlockHeight(t.Context(), &relayerv1.LatestBlockHeightRequest{})
		return err == nil && height.GetBlockHeight() < block+500
	})
}
