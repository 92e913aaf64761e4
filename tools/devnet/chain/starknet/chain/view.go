package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

// View is the network as one node sees it.
type View struct {
	chain   *Chain
	version Version
	// lag is by how many complete blocks it is behind. A node that is behind knows of no transactions in the one that is
	// being made.
	lag uint64
}

// View is the network as a node that serves a version sees it that is behind by some blocks.
func (c *Chain) View(version Version, lag uint64) View { return View{c, version, lag} }

// BlockID names a block as the JSON-RPC does.
type BlockID struct {
	tag    string
	number *uint64
	hash   *stark.Felt
}

// UnmarshalJSON implements json.Unmarshaler.
func (id *BlockID) UnmarshalJSON(text []byte) error {
	*id = BlockID{}
	if json.Unmarshal(text, &id.tag) == nil && id.tag != "" { // a version that has no such tag says so
		return nil
	}
	var named struct {
		Number *uint64     `json:"block_number"`
		Hash   *stark.Felt `json:"block_hash"`
	}
	if json.Unmarshal(text, &named) != nil || (named.Number == nil) == (named.Hash == nil) {
		return fmt.Errorf(`%.80q is not a block: write a tag such as "latest", {"block_number": N} or {"block_hash": "0x…"}`,
			text)
	}
	*id = BlockID{number: named.Number, hash: named.Hash}
	return nil
}

// latest is the newest complete block that the node has seen.
func (v View) latest() *block {
	n := uint64(len(v.chain.blocks)) - 1
	return v.chain.blocks[n-min(n, v.lag)]
}

// find finds a block and the state after it.
func (v View) find(id BlockID) (*block, *state, *Failure) {
	latest := v.latest()
	switch {
	case id.tag != "" && !slices.Contains(v.version.tags(), id.tag):
		return nil, nil, failWith(CodeInvalidParams, map[string]any{"reason": "Invalid block id"})
	case id.tag == "latest":
		return latest, latest.state, nil
	case id.tag == v.version.PreConfirmed() && v.lag == 0:
		return v.chain.pending, v.chain.state, nil
	case id.tag == v.version.PreConfirmed():
		return &block{number: latest.number + 1, parent: latest.hash, time: latest.time,
			prices: latest.prices}, latest.state, nil
	case id.tag == "l1_accepted":
		after := v.chain.settings.L1After
		if after == 0 || latest.number < after {
			return nil, nil, Fail(CodeBlockNotFound)
		}
		b := v.chain.blocks[latest.number-after]
		return b, b.state, nil
	case id.number != nil && *id.number <= latest.number:
		b := v.chain.blocks[*id.number]
		return b, b.state, nil
	case id.hash != nil:
		for _, b := range v.chain.blocks[:latest.number+1] {
			if b.hash == *id.hash {
				return b, b.state, nil
			}
		}
	}
	return nil, nil, Fail(CodeBlockNotFound)
}

// transaction finds a transaction that the node has seen.
func (v View) transaction(hash stark.Felt) (*transaction, *Failure) {
	t := v.chain.transactions[hash]
	if t == nil || t.status == statusRejected && v.version != Version8 ||
		v.lag > 0 && (t.block == nil || t.block.state == nil || t.block.number > v.latest().number) {
		return nil, Fail(CodeHashNotFound)
	}
	return t, nil
}

// Latest is the number and the hash of the newest complete block.
func (v View) Latest() (uint64, stark.Felt) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	b := v.latest()
	return b.number, b.hash
}

// Block is a block with the hashes of its transactions.
func (v View) Block(id BlockID) (BlockHeader, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	b, _, failure := v.find(id)
	if failure != nil {
		return BlockHeader{}, failure
	}
	return v.header(b), nil
}

// Class is the class of a contract.
func (v View) Class(id BlockID, address stark.Felt) (stark.Felt, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	_, s, failure := v.find(id)
	if failure != nil {
		return stark.Felt{}, failure
	}
	if class, ok := s.class(address); ok {
		return class, nil
	}
	return stark.Felt{}, Fail(CodeContractNotFound)
}

// Nonce returns the nonce of a contract. It is 0 for contracts that are not accounts.
func (v View) Nonce(id BlockID, address stark.Felt) (stark.Felt, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	_, s, failure := v.find(id)
	if failure != nil {
		return stark.Felt{}, failure
	}
	if _, ok := s.class(address); !ok {
		return stark.Felt{}, Fail(CodeContractNotFound)
	}
	return stark.FromUint64(s.accounts[address].nonce), nil
}

// Call calls a contract without a transaction. What it changes is forgotten.
func (v View) Call(id BlockID, call Call) ([]stark.Felt, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	_, s, failure := v.find(id)
	if failure != nil {
		return nil, failure
	}
	result, err := v.chain.dispatch(s.clone(), call, stark.Felt{})
	var said aggregator.Panic
	switch {
	case errors.Is(err, errNoContract):
		return nil, Fail(CodeContractNotFound)
	case errors.Is(err, aggregator.ErrEntryPoint):
		return nil, Fail(CodeEntryPointNotFound)
	case errors.As(err, &said):
		class, _ := s.class(call.To)
		return nil, failWith(CodeContractError, map[string]any{"revert_error": map[string]any{
			"contract_address": call.To, "class_hash": class, "selector": call.Selector, "error": quoted(string(said)),
		}})
	}
	if result.Returned == nil {
		return []stark.Felt{}, nil
	}
	return result.Returned, nil
}

// Estimate is the estimated cost of a transaction, in FRI.
type Estimate struct {
	L1Gas       Quantity `json:"l1_gas_consumed"`
	L1Price     Quantity `json:"l1_gas_price"`
	L2Gas       Quantity `json:"l2_gas_consumed"`
	L2Price     Quantity `json:"l2_gas_price"`
	L1DataGas   Quantity `json:"l1_data_gas_consumed"`
	L1DataPrice Quantity `json:"l1_data_gas_price"`
	Overall     Quantity `json:"overall_fee"`
	Unit        string   `json:"unit"`
}

// Estimates returns the estimates of transactions one after another. If one would fail, all fail.
func (v View) Estimates(id BlockID, invokes []Invoke, validate bool) ([]Estimate, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	_, s, failure := v.find(id)
	if failure != nil {
		return nil, failure
	}
	estimates := []Estimate{}
	for i, inv := range invokes {
		fail := func(text string) ([]Estimate, *Failure) {
			return nil, failWith(CodeExecutionError, map[string]any{"transaction_index": i, "execution_error": text})
		}
		a, ok := s.accounts[*inv.Sender]
		if !ok && v.version == Version10 {
			return nil, Fail(CodeContractNotFound)
		}
		if !ok {
			return fail(fmt.Sprintf("Requested contract address %s is not deployed.", padded(*inv.Sender)))
		}
		if n, ok := inv.Nonce.Uint64(); !ok || n < a.nonce || n > a.nonce && validate { // as pathfinder does
			return fail(fmt.Sprintf("Invalid transaction nonce of contract at address %s. Account nonce: 0x%064x; got: %s.",
				padded(*inv.Sender), a.nonce, padded(*inv.Nonce)))
		}
		if validate {
			if failure := v.chain.validate(a, inv, inv.Hash(v.chain.id)); failure != nil {
				return fail(fmt.Sprint(failure.Data))
			}
		}
		after, result := v.chain.run(s, inv, false)
		if result.reverted {
			return fail(result.reason)
		}
		s = after
		prices := v.chain.pending.prices
		number := func(n uint64) Quantity { return Quantity{new(big.Int).SetUint64(n)} }
		estimates = append(estimates, Estimate{
			number(result.gas.L1), Quantity{prices.L1}, number(result.gas.L2), Quantity{prices.L2},
			number(result.gas.L1Data), Quantity{prices.L1Data}, Quantity{result.fee}, "FRI",
		})
	}
	return estimates, nil
}

// Status is the status of a transaction.
type Status struct {
	Finality  string `json:"finality_status"`
	Execution string `json:"execution_status,omitempty"`
	Reason    string `json:"failure_reason,omitempty"`
}

// Status returns the status of a transaction.
func (v View) Status(hash stark.Felt) (Status, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	t, failure := v.transaction(hash)
	if failure != nil {
		return Status{}, failure
	}
	switch {
	case t.block != nil:
		return Status{v.finality(t.block), t.execution(), t.reason}, nil
	case v.version != Version8 && slices.Contains(v.chain.mempool, t) &&
		t.number() == v.chain.state.accounts[*t.Sender].nonce:
		return Status{Finality: "CANDIDATE"}, nil // it is next to be executed
	}
	return Status{Finality: t.status, Reason: t.reason}, nil
}

func (t *transaction) execution() string {
	if t.reverted {
		return "REVERTED"
	}
	return "SUCCEEDED"
}

// Event is an event as nodes show it. One of the block that is being made has no block hash, and in 0.8 no number; its
// place among the transactions and the events of its transaction came with 0.10.
type Event struct {
	From        stark.Felt   `json:"from_address"`
	Keys        []stark.Felt `json:"keys"`
	Data        []stark.Felt `json:"data"`
	BlockHash   *stark.Felt  `json:"block_hash,omitempty"`
	BlockNumber *uint64      `json:"block_number,omitempty"`
	Transaction *stark.Felt  `json:"transaction_hash,omitempty"`
	Place       *int         `json:"transaction_index,omitempty"`
	Index       *int         `json:"event_index,omitempty"`
}

// Receipt is the outcome of a transaction in a block.
type Receipt struct {
	Type        string      `json:"type"`
	Hash        stark.Felt  `json:"transaction_hash"`
	Fee         Fee         `json:"actual_fee"`
	Finality    string      `json:"finality_status"`
	Execution   string      `json:"execution_status"`
	Reason      string      `json:"revert_reason,omitempty"`
	Messages    []any       `json:"messages_sent"`
	Events      []Event     `json:"events"`
	Resources   Resources   `json:"execution_resources"`
	BlockHash   *stark.Felt `json:"block_hash,omitempty"`
	BlockNumber *uint64     `json:"block_number,omitempty"`
}

// Fee is an amount of the fee token.
type Fee struct {
	Amount Quantity `json:"amount"`
	Unit   string   `json:"unit"`
}

// Resources are the resources that a transaction used.
type Resources struct {
	L1     uint64 `json:"l1_gas"`
	L1Data uint64 `json:"l1_data_gas"`
	L2     uint64 `json:"l2_gas"`
}

// Receipt returns the outcome of a transaction that is in a block.
func (v View) Receipt(hash stark.Felt) (Receipt, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	t, failure := v.transaction(hash)
	if failure != nil {
		return Receipt{}, failure
	}
	if t.block == nil {
		return Receipt{}, Fail(CodeHashNotFound)
	}
	r := Receipt{
		Type: "INVOKE", Hash: t.hash, Fee: Fee{Quantity{t.fee}, "FRI"}, Finality: v.finality(t.block),
		Execution: t.execution(), Reason: t.reason, Messages: []any{}, Resources: Resources{t.gas.L1, t.gas.L1Data, t.gas.L2},
	}
	for _, e := range t.events {
		r.Events = append(r.Events, Event{From: e.from, Keys: e.Keys, Data: e.Data})
	}
	r.BlockHash, r.BlockNumber = v.where(t.block)
	return r, nil
}

// where is a block's hash and number as far as the node tells them.
func (v View) where(b *block) (hash *stark.Felt, number *uint64) {
	if b.state != nil {
		return &b.hash, &b.number
	}
	if v.version != Version8 {
		return nil, &b.number
	}
	return nil, nil
}

// Transaction is a transaction as nodes show it.
type Transaction struct {
	Hash stark.Felt `json:"transaction_hash"`
	Invoke
}

// Transaction gives a transaction that the node has seen.
func (v View) Transaction(hash stark.Felt) (Transaction, *Failure) {
	v.chain.mu.Lock()
	defer v.chain.mu.Unlock()
	t, failure := v.transaction(hash)
	if failure != nil {
		return Transaction{}, failure
	}
	return Transaction{t.hash, t.Invoke}, nil
}
