package evm

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// nitro finds the blocks in which configurations were set on chains of Arbitrum's Nitro. There, contracts see the
// number of a block of the parent chain (docs.arbitrum.io, "Block numbers and time"), and so does the aggregator that
// remembers when its configuration was set. Everything else goes by the chain's own numbers, of which some 50 share one
// of the parent chain. Each block tells its parent chain's number, which never falls from one to the next.
type nitro struct {
	chain *Chain

	mu sync.Mutex
	// Both are nil until a block of the chain tells the parent chain's number.
	parent map[uint64]uint64  // the parent chain's number of blocks that were asked for
	placed map[setting]uint64 // the blocks in which configurations were set
}

// setting is that a contract's configuration was set.
type setting struct {
	contract common.Address
	digest   [32]byte
}

// together is how many configurations are looked for at the same time.
const together = 8

// translate puts the chain's own number in the place of the parent chain's in what contracts answered. A contract for
// which that fails has no answer: a configuration counts as confirmed by its block. It is no fault of the node that was
// read, since each step asks the best node.
func (n *nitro) translate(
	ctx context.Context, contracts []common.Address, readings []service.Reading, head endpoint.Head,
) {
	n.mu.Lock()
	if n.parent == nil {
		n.parent, n.placed = map[uint64]uint64{}, map[setting]uint64{}
	}
	n.mu.Unlock()
	var searches sync.WaitGroup
	running := make(chan struct{}, together)
	for i, contract := range contracts {
		r := &readings[i]
		if r.Err != nil || r.View.ConfigDigest == [32]byte{} {
			continue
		}
		running <- struct{}{}
		searches.Go(func() {
			defer func() { <-running }()
			parent := r.View.ConfigBlock
			var err error
			r.View.ConfigBlock, err = n.place(ctx, setting{contract, r.View.ConfigDigest}, parent, head)
			if err != nil {
				r.Err = relayer.Answered(status.Errorf(codes.Unavailable,
					"find the block that set the configuration, which for the contract is block %d of the parent chain: %s",
					parent, status.Convert(err).Message()))
			}
		})
	}
	searches.Wait()
}

// note records that an event tells where a configuration was set. On other chains it does nothing.
func (n *nitro) note(s setting, block uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.placed != nil {
		n.placed[s] = block
	}
}

// forget takes back that a contract's configuration was set in a block, and reports whether that was said.
func (n *nitro) forget(contract common.Address, block uint64) (said bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s, at := range n.placed {
		if s.contract == contract && at == block {
			delete(n.placed, s)
			said = true
		}
	}
	return said
}

// place finds the block in which a configuration was set: that of its event, among the blocks with the parent chain's
// number.
func (n *nitro) place(ctx context.Context, s setting, parent uint64, head endpoint.Head) (uint64, error) {
	n.mu.Lock()
	block, ok := n.placed[s]
	n.mu.Unlock()
	if ok {
		return block, nil
	}
	if *head.Parent < parent { // a newer block has come since the head was read, which the next turn sees
		return 0, relayer.Said(fmt.Sprintf("the newest block, %d, is of the parent chain's block %d", head.Number,
			*head.Parent))
	}
	first, err := n.first(ctx, 0, head.Number, parent)
	if err != nil {
		return 0, err
	}
	after, err := n.first(ctx, first, head.Number+1, parent+1)
	if err != nil {
		return 0, err
	}
	if first == after {
		return 0, relayer.Said("no block has this number")
	}
	err = n.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) (err error) {
		block, err = settingOf(ctx, client, s, first, after-1)
		return err
	})
	if err == nil {
		n.note(s, block)
	}
	return block, err
}

// first is the first block, of those from low on, whose parent chain's number is at least a given one; high if none
// before that is.
func (n *nitro) first(ctx context.Context, low, high, parent uint64) (uint64, error) {
	n.mu.Lock()
	for block, number := range n.parent { // what is known saves most steps of the next search, or of the same again
		if number < parent {
			low = max(low, block+1)
		} else {
			high = min(high, block)
		}
	}
	n.mu.Unlock()
	for low < high {
		middle := low + (high-low)/2
		number, err := n.parentOf(ctx, middle)
		if err != nil {
			return 0, err
		}
		if number < parent {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// parentOf asks for the parent chain's number of a block. A node that does not have the block any more, or not yet, has
// the next asked.
func (n *nitro) parentOf(ctx context.Context, number uint64) (uint64, error) {
	var block *endpoint.Head
	err := n.chain.Pool().Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		err := client.Call(ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(number), false)
		switch {
		case relayer.IsAnswered(err):
			return relayer.Unserved(relayer.Said(relayer.Reason(err)))
		case err != nil:
			return err
		case block == nil:
			return relayer.Unserved(relayer.Said(fmt.Sprintf("does not have block %d", number)))
		case block.Number != number || block.Parent == nil:
			return relayer.Said(fmt.Sprintf("answers with no block %d that has an l1BlockNumber", number))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.parent[number] = *block.Parent
	return *block.Parent, nil
}

// settingOf is the block, from one to another, that has the event of a configuration.
func settingOf(ctx context.Context, client *endpoint.Client, s setting, from, to uint64) (uint64, error) {
	filter := endpoint.Filter{
		Contracts: []common.Address{s.contract}, Topics: []common.Hash{aggregator.ConfigSetTopic()},
	}
	for begin := from; begin <= to; {
		logs, reached, err := client.Logs(ctx, filter, begin, to)
		if err != nil {
			return 0, err
		}
		for _, log := range slices.Backward(logs) {
			if config, err := aggregator.ParseConfigSet(log); err == nil && config.ConfigDigest == s.digest {
				return log.BlockNumber, nil
			}
		}
		begin = reached + 1
	}
	return 0, relayer.Unserved(relayer.Said(fmt.Sprintf("has no event of the configuration in its blocks %d to %d", from,
		to)))
}
