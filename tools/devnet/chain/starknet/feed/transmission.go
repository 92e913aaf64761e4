package feed

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// pollPeriod is how often a node is asked for new events. A transmission shows at once in the block that is being made.
const pollPeriod = 100 * time.Millisecond

// Transmission is a report that the feed's contract took: one NewTransmission event.
type Transmission struct {
	// RoundID counts the contract's answers from 1.
	RoundID uint32
	// ConfigDigest, Epoch and Round name the round of the protocol.
	ConfigDigest ocrtypes.ConfigDigest
	Epoch        uint32
	Round        uint8
	// Answer is the price times 10^Decimals.
	Answer *big.Int
	// Observations are the values of the oracles, in ascending order if the oracles are honest.
	Observations []*big.Int
	// Observers are the oracles of the observations, by their place in the configuration.
	Observers []int
	// ObservationsTimestamp is when the oracles observed, in Unix seconds.
	ObservationsTimestamp uint32
	// JuelsPerFeeCoin and GasPrice are in juels and in FRI, Reimbursement is in juels.
	JuelsPerFeeCoin, GasPrice, Reimbursement *big.Int
	// Transmitter is the account that sent the report.
	Transmitter stark.Felt
	// Hash is the transaction's, and Fee what that cost in FRI.
	Hash stark.Felt
	Fee  *big.Int
}

// Watch gives every transmission of the feed to take, in the order of the chain, until ctx ends, take fails or a node
// at url does; the error says which.
func (f *Feed) Watch(ctx context.Context, url string, take func(Transmission) error) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	var block uint64
	seen := map[stark.Felt]bool{} // of the blocks from that one on
	for {
		var latest uint64
		if err := call(ctx, url, &latest, "starknet_blockNumber"); err != nil {
			return fmt.Errorf("watch the feed: %w", err)
		}
		transmissions, err := f.Transmissions(ctx, url, block)
		if err != nil {
			return fmt.Errorf("watch the feed: %w", err)
		}
		for _, t := range transmissions {
			if seen[t.Hash] {
				continue
			}
			seen[t.Hash] = true
			if err := take(t); err != nil {
				return err
			}
		}
		block = latest // earlier blocks were complete before their events were read
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// Transmissions reads the feed's transmissions from a block on.
func (f *Feed) Transmissions(ctx context.Context, url string, from uint64) ([]Transmission, error) {
	tag, err := preConfirmed(ctx, url)
	if err != nil {
		return nil, err
	}
	var all []Transmission
	token := ""
	for {
		filter := map[string]any{
			"from_block": map[string]any{"block_number": from}, "to_block": tag, "address": f.address,
			"keys": [][]stark.Felt{{aggregator.Selector("NewTransmission")}}, "chunk_size": 100,
		}
		if token != "" {
			filter["continuation_token"] = token
		}
		var page chain.Page
		if err := call(ctx, url, &page, "starknet_getEvents", filter); err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			t, err := decode(e)
			if err != nil {
				return nil, fmt.Errorf("decode an event of transaction %s: %w", e.Transaction, err)
			}
			var receipt chain.Receipt
			if err := call(ctx, url, &receipt, "starknet_getTransactionReceipt", t.Hash); err != nil {
				return nil, err
			}
			t.Fee = receipt.Fee.Amount.Int
			all = append(all, t)
		}
		if token = page.Token; token == "" {
			return all, nil
		}
	}
}

// decode reads an event NewTransmission.
func decode(e chain.Event) (Transmission, error) {
	if len(e.Keys) != 3 || e.Transaction == nil || len(e.Data) < 4 {
		return Transmission{}, errors.New("it is too short")
	}
	n, _ := e.Data[3].Uint64()
	if n > MaxOracles || uint64(len(e.Data)) != 4+n+5 {
		return Transmission{}, fmt.Errorf("it has %d felts of data with %s observations", len(e.Data), e.Data[3].Big())
	}
	rest := e.Data[4+n:]
	number := func(f stark.Felt) uint64 { return f.Big().Uint64() }
	t := Transmission{
		RoundID: uint32(number(e.Keys[1])), Transmitter: e.Keys[2], Answer: e.Data[0].Big(),
		ObservationsTimestamp: uint32(number(e.Data[1])),
		JuelsPerFeeCoin:       rest[0].Big(), GasPrice: rest[1].Big(), ConfigDigest: rest[2].Bytes(),
		Epoch: uint32(number(rest[3]) >> 8), Round: uint8(number(rest[3])), Reimbursement: rest[4].Big(),
		Hash: *e.Transaction,
	}
	observers := e.Data[2].Bytes() // the first byte is a mark that keeps the felt from being too large
	for i := range n {
		t.Observations = append(t.Observations, e.Data[4+i].Big())
		t.Observers = append(t.Observers, int(observers[1+i]))
	}
	return t, nil
}
