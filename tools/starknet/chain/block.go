package chain

import (
	"math/big"
	"time"

	"github.com/loop-plugins/loop/sdk/go/stark"
)

// block is a block; the pending one has no hash and no state of its own.
type block struct {
	number       uint64
	hash, parent stark.Felt
	time         uint64
	prices       Prices
	transactions []*transaction
	state        *state
}

// open begins the next block.
func (c *Chain) open() {
	next := &block{number: uint64(len(c.blocks)), time: uint64(time.Now().Unix()), prices: c.prices}
	if next.number > 0 {
		last := c.blocks[next.number-1]
		next.parent = last.hash
		next.time = max(next.time, last.time)
	}
	c.pending = next
}

// MakeBlock completes the pending block, begins the next, and returns the number of the complete one.
func (c *Chain) MakeBlock() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := c.pending
	// Starknet's own hash has more in it. Nobody computes it again.
	content := []stark.Felt{short("loop block"), c.id, stark.FromUint64(done.number), done.parent, stark.FromUint64(done.time)}
	for _, t := range done.transactions {
		content = append(content, t.hash)
	}
	done.hash = stark.Poseidon(content...)
	done.state = c.state.clone()
	c.blocks = append(c.blocks, done)
	c.open()
	return done.number
}

// Price is that of a unit of a resource.
type Price struct {
	FRI Quantity `json:"price_in_fri"`
	Wei Quantity `json:"price_in_wei"`
}

// BlockHeader is a block as nodes show it. The pending one has no status, hash, number and root.
type BlockHeader struct {
	Status       string       `json:"status,omitempty"`
	Hash         *stark.Felt  `json:"block_hash,omitempty"`
	Number       *uint64      `json:"block_number,omitempty"`
	Root         *stark.Felt  `json:"new_root,omitempty"`
	Parent       stark.Felt   `json:"parent_hash"`
	Time         uint64       `json:"timestamp"`
	Sequencer    stark.Felt   `json:"sequencer_address"`
	L1Price      Price        `json:"l1_gas_price"`
	L2Price      Price        `json:"l2_gas_price"`
	L1DataPrice  Price        `json:"l1_data_gas_price"`
	L1DAMode     string       `json:"l1_da_mode"`
	Version      string       `json:"starknet_version"`
	Transactions []stark.Felt `json:"transactions"`
}

// header is a block as a node shows it whose newest complete block is latest.
func (c *Chain) header(b *block, latest uint64) BlockHeader {
	price := func(fri *big.Int) Price {
		return Price{Quantity{fri}, Quantity{new(big.Int).Div(fri, big.NewInt(5000))}}
	}
	h := BlockHeader{
		Parent: b.parent, Time: b.time, Sequencer: sequencer(), L1DAMode: "BLOB", Version: "0.13.5", Transactions: []stark.Felt{},
		L1Price: price(b.prices.L1), L2Price: price(b.prices.L2), L1DataPrice: price(b.prices.L1Data),
	}
	for _, t := range b.transactions {
		h.Transactions = append(h.Transactions, t.hash)
	}
	if b.state != nil {
		root := stark.Poseidon(b.hash) // as made up as the hash
		h.Status, h.Hash, h.Number, h.Root = c.finality(b, latest), &b.hash, &b.number, &root
	}
	return h
}

// finality is how settled a block's transactions are.
func (c *Chain) finality(b *block, latest uint64) string {
	if c.settings.L1After > 0 && b.state != nil && b.number+c.settings.L1After <= latest {
		return "ACCEPTED_ON_L1"
	}
	return "ACCEPTED_ON_L2"
}
