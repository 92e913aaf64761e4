package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Head is a block as far as a relayer needs it.
type Head struct {
	Number uint64
	Hash   stark.Felt
	Time   time.Time
}

// LatestHead reads the newest complete block.
func (c *Client) LatestHead(ctx context.Context) (Head, error) {
	var block struct {
		Number    *uint64     `json:"block_number"`
		Hash      *stark.Felt `json:"block_hash"`
		Timestamp *uint64     `json:"timestamp"`
	}
	if err := c.call(ctx, &block, "starknet_getBlockWithTxHashes", Latest); err != nil {
		return Head{}, err
	}
	if block.Number == nil || block.Hash == nil || block.Timestamp == nil || *block.Timestamp > latestTime {
		return Head{}, relayer.Said("answers with a block without number, hash or time")
	}
	return Head{Number: *block.Number, Hash: *block.Hash, Time: time.Unix(int64(*block.Timestamp), 0).UTC()}, nil
}

// latestTime is the end of the year 9999, which is as far as a Timestamp goes.
const latestTime = 253402300799

// functionCall is a call of a contract.
type functionCall struct {
	Contract stark.Felt   `json:"contract_address"`
	Selector stark.Felt   `json:"entry_point_selector"`
	Calldata []stark.Felt `json:"calldata"`
}

// View asks a contract at the newest complete block, so that the answer stays true.
func (c *Client) View(ctx context.Context, contract, selector stark.Felt,
	calldata ...stark.Felt) ([]stark.Felt, error) {
	if calldata == nil {
		calldata = []stark.Felt{}
	}
	var answer []stark.Felt
	if err := c.call(ctx, &answer, "starknet_call", functionCall{contract, selector, calldata}, Latest); err != nil {
		return nil, err
	}
	return answer, nil
}

// Nonce returns the account's next nonce after a block. PreConfirmed counts transactions that may still vanish.
func (c *Client) Nonce(ctx context.Context, block Tag, account stark.Felt) (uint64, error) {
	var nonce stark.Felt
	if err := c.call(ctx, &nonce, "starknet_getNonce", c.tag(block), account); err != nil {
		return 0, c.unknown(ctx, block, err)
	}
	n, ok := nonce.Uint64()
	if !ok {
		return 0, relayer.Said("answers with a nonce of more than 64 bits")
	}
	return n, nil
}

// Event is an event of a contract.
type Event struct {
	From stark.Felt   `json:"from_address"`
	Keys []stark.Felt `json:"keys"`
	Data []stark.Felt `json:"data"`
}

// Events are read in pages; chunkSize is how many one holds.
const (
	chunkSize = 100
	mostPages = 100
)

// Events reads the events of a contract with one selector in one complete block.
func (c *Client) Events(ctx context.Context, contract, selector stark.Felt, number uint64) ([]Event, error) {
	return c.events(ctx, selector, number, number, &contract)
}

// EventsOfAll reads the events of all contracts with one selector in complete blocks. Anybody can emit one.
func (c *Client) EventsOfAll(ctx context.Context, selector stark.Felt, from, to uint64) ([]Event, error) {
	return c.events(ctx, selector, from, to, nil)
}

// events reads the events of one contract, or of all.
func (c *Client) events(ctx context.Context, selector stark.Felt, from, to uint64,
	contract *stark.Felt) ([]Event, error) {
	filter := map[string]any{
		"from_block": map[string]uint64{"block_number": from}, "to_block": map[string]uint64{"block_number": to},
		"keys": [][]stark.Felt{{selector}}, "chunk_size": chunkSize,
	}
	if contract != nil {
		filter["address"] = *contract
	}
	var events []Event
	for range mostPages {
		var page struct {
			Events []Event `json:"events"`
			Token  string  `json:"continuation_token"`
		}
		if err := c.call(ctx, &page, "starknet_getEvents", filter); err != nil {
			return nil, err
		}
		for _, e := range page.Events { // nodes are not trusted to filter
			if (contract == nil || e.From == *contract) && len(e.Keys) > 0 && e.Keys[0] == selector {
				events = append(events, e)
			}
		}
		if page.Token == "" {
			return events, nil
		}
		filter["continuation_token"] = page.Token
	}
	return nil, relayer.Said(fmt.Sprintf("answers with more than %d pages of events", mostPages))
}

// Estimate is the estimated cost of a transaction.
type Estimate struct {
	L1, L2, L1Data Resource
	// Overall is the whole fee, in FRI.
	Overall stark.Felt
}

// Resource is an amount of a resource and its price, in FRI.
type Resource struct{ Amount, Price stark.Felt }

// EstimateFee simulates a transaction at the block that is being made, without asking the account to check the
// signature. An answer in a unit other than FRI is an error.
func (c *Client) EstimateFee(ctx context.Context, transaction any) (Estimate, error) {
	type estimate struct {
		L1Amount     *stark.Felt `json:"l1_gas_consumed"`
		L1Price      *stark.Felt `json:"l1_gas_price"`
		L2Amount     *stark.Felt `json:"l2_gas_consumed"`
		L2Price      *stark.Felt `json:"l2_gas_price"`
		L1DataAmount *stark.Felt `json:"l1_data_gas_consumed"`
		L1DataPrice  *stark.Felt `json:"l1_data_gas_price"`
		Overall      *stark.Felt `json:"overall_fee"`
		Unit         string      `json:"unit"`
	}
	var estimates []estimate
	flags := []string{"SKIP_VALIDATE"}
	err := c.call(ctx, &estimates, "starknet_estimateFee", []any{transaction}, flags, c.tag(PreConfirmed))
	if err != nil {
		return Estimate{}, c.unknown(ctx, PreConfirmed, err)
	}
	if len(estimates) != 1 {
		return Estimate{}, relayer.Said(fmt.Sprintf("answers with %d estimates of one transaction", len(estimates)))
	}
	e := estimates[0]
	for _, part := range []*stark.Felt{e.L1Amount, e.L1Price, e.L2Amount, e.L2Price, e.L1DataAmount, e.L1DataPrice,
		e.Overall} {
		if part == nil {
			return Estimate{}, relayer.Said("answers with an estimate without all three resources")
		}
	}
	if e.Unit != "FRI" {
		return Estimate{}, relayer.Said(
			fmt.Sprintf("answers with an estimate in %.10q, and transactions of version 3 pay in FRI", e.Unit))
	}
	return Estimate{
		L1: Resource{*e.L1Amount, *e.L1Price}, L2: Resource{*e.L2Amount, *e.L2Price},
		L1Data: Resource{*e.L1DataAmount, *e.L1DataPrice}, Overall: *e.Overall,
	}, nil
}

// AddInvoke sends a transaction and returns the hash by which the node knows it.
func (c *Client) AddInvoke(ctx context.Context, transaction json.RawMessage) (stark.Felt, error) {
	var added struct {
		Hash *stark.Felt `json:"transaction_hash"`
	}
	if err := c.call(ctx, &added, "starknet_addInvokeTransaction", transaction); err != nil {
		return stark.Felt{}, err
	}
	if added.Hash == nil {
		return stark.Felt{}, relayer.Said("answers a transaction without its hash")
	}
	return *added.Hash, nil
}

// Status is the status of a transaction.
type Status struct {
	// Known is false if the node has not heard of it. True does not prove that it will be in a block: nodes remember
	// for minutes what was sent through them, even if the sequencer has dropped it.
	Known bool
	// Rejected means that it never was in a block and never will be. Nodes from 0.9 on forget such a transaction
	// instead.
	Rejected bool
	// Accepted means that it is in a block, a complete one or the one that is being made.
	Accepted bool
	// Reverted means that it had no effect except its nonce and its fee.
	Reverted bool
	// Reason says why it was reverted or rejected.
	Reason string
}

// TransactionStatus asks for the status of a transaction.
func (c *Client) TransactionStatus(ctx context.Context, hash string) (Status, error) {
	var s struct {
		Finality  string          `json:"finality_status"`
		Execution string          `json:"execution_status"`
		Reason    json.RawMessage `json:"failure_reason"`
	}
	err := c.call(ctx, &s, "starknet_getTransactionStatus", hash)
	if IsCode(err, CodeHashNotFound) {
		return Status{}, nil
	}
	if err != nil {
		return Status{}, err
	}
	status := Status{Known: true, Reason: relayer.Said(Innermost(s.Reason)).Error()}
	switch s.Finality {
	case "RECEIVED", "CANDIDATE": // a candidate is about to be executed
		return status, nil
	case "REJECTED":
		status.Rejected = true
		return status, nil
	case "PRE_CONFIRMED", "ACCEPTED_ON_L2", "ACCEPTED_ON_L1":
	default:
		return Status{}, relayer.Said(fmt.Sprintf("answers with the finality status %.30q, which is not known", s.Finality))
	}
	if s.Execution == "" { // nodes may leave it out here, but not in the receipt
		return c.receipt(ctx, hash)
	}
	return status.executed(s.Execution)
}

// receipt asks how a transaction that is in a block ended.
func (c *Client) receipt(ctx context.Context, hash string) (Status, error) {
	var r struct {
		Execution string          `json:"execution_status"`
		Reason    json.RawMessage `json:"revert_reason"`
	}
	err := c.call(ctx, &r, "starknet_getTransactionReceipt", hash)
	if IsCode(err, CodeHashNotFound) { // it has left the block meanwhile
		return Status{}, nil
	}
	if err != nil {
		return Status{}, err
	}
	return Status{Known: true, Reason: relayer.Said(Innermost(r.Reason)).Error()}.executed(r.Execution)
}

// Fee returns the cost of a transaction in a block, in the smallest unit of the token that it paid with.
func (c *Client) Fee(ctx context.Context, hash string) (*big.Int, error) {
	var r struct {
		Fee struct{ Amount stark.Felt } `json:"actual_fee"`
	}
	if err := c.call(ctx, &r, "starknet_getTransactionReceipt", hash); err != nil {
		return nil, err
	}
	return r.Fee.Amount.Big(), nil
}

// executed is the status of a transaction in a block that ended so.
func (s Status) executed(ending string) (Status, error) {
	switch ending {
	case "SUCCEEDED":
	case "REVERTED":
		s.Reverted = true
	default:
		return Status{}, relayer.Said(fmt.Sprintf("answers with the execution status %.30q, which is not known", ending))
	}
	s.Accepted = true
	return s, nil
}
