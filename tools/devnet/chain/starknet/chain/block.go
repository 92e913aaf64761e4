package chain

import (
	"math/big"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
)

// block is a block; the one that is being made has no hash and no state of its own.
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

// MakeBlock completes the block that is being made, begins the next, and returns the number of the complete one.
func (c *Chain) MakeBlock() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	done := c.pending
	// Starknet's own hash has more in it. Nobody computes it again.
	content := []stark.Felt{short("loop block"), c.id, stark.FromUint64(done.number), done.parent,
		stark.FromUint64(done.time)}
	for _, t := range done.transactions {
		content = append(content, t.hash)
	}
	done.hash = stark.Poseidon(content...)
	done.state = c.state.clone()
	c.blocks = append(c.blocks, done)
	c.open()
	return done.number
}

// Price is the price of a unit of a resource.
type Price struct {
	FRI Quantity `json:"price_in_fri"`
	Wei Quantity `json:"price_in_wei"`
}

// BlockHeader is a block as nodes show it. One that is being made has no status, hash and root; in 0.8 it has no number
// either, and later no parent. The commitments and counts of complete ones came with 0.10.
type BlockHeader struct {
	Status      string      `json:"status,omitempty"`
	Hash        *stark.Felt `json:"block_hash,omitempty"`
	Number      *uint64     `json:"block_number,omitempty"`
	Root        *stark.Felt `json:"new_root,omitempty"`
	Parent      *stark.Felt `json:"parent_hash,omitempty"`
	Time        uint64      `json:"timestamp"`
	Sequencer   stark.Felt  `json:"sequencer_address"`
	L1Price     Price       `json:"l1_gas_price"`
	L2Price     Price       `json:"l2_gas_price"`
	L1DataPrice Price       `json:"l1_data_gas_price"`
	L1DAMode    string      `json:"l1_da_mode"`
	Version     string      `json:"starknet_version"`
	*Commitments
	Transactions []stark.Felt `json:"transactions"`
}

// Commitments summarise the content of a complete block.
type Commitments struct {
	Events           stark.Felt `json:"event_commitment"`
	Transactions     stark.Felt `json:"transaction_commitment"`
	Receipts         stark.Felt `json:"receipt_commitment"`
	StateDiff        stark.Felt `json:"state_diff_commitment"`
	EventCount       int        `json:"event_count"`
	TransactionCount int        `json:"transaction_count"`
	StateDiffLength  int        `json:"state_diff_length"`
}

// header is a block as the node shows it.
func (v View) header(b *block) BlockHeader {
	price := func(fri *big.Int) Price {
		return Price{Quantity{fri}, Quantity{new(big.Int).Div(fri, big.NewInt(5000))}}
	}
	h := BlockHeader{
		Time: b.time, Sequencer: sequencer(), L1DAMode: "BLOB", Version: "0.14.3", Transactions: []stark.Felt{},
		L1Price: price(b.prices.L1), L2Price: price(b.prices.L2), L1DataPrice: price(b.prices.L1Data),
	}
	events := 0
	for _, t := range b.transactions {
		h.Transactions = append(h.Transactions, t.hash)
		events += len(t.events)
	}
	complete := b.state != nil
	if complete || v.version == Version8 {
		h.Parent = &b.parent
	}
	if complete || v.version != Version8 {
		h.Number = &b.number
	}
	if !complete {
		return h
	}
	root := stark.Poseidon(b.hash) // as made up as the hash
	h.Status, h.Hash, h.Root = v.finality(b), &b.hash, &root
	if v.version == Version10 { // as made up, too; a transaction changes a nonce and two balances or more
		h.Commitments = &Commitments{root, root, root, root, events, len(b.transactions), 3 * len(b.transactions)}
	}
	return h
}

// finality is how settled a block's transactions are.
func (v View) finality(b *block) string {
	after := v.chain.settings.L1After
	switch {
	case b.state == nil && v.version != Version8:
		return "PRE_CONFIRMED"
	case after > 0 && b.state != nil && b.number+after <= v.latest().number:
		return "ACCEPTED_ON_L1"
	}
	return statusAccepted
}
