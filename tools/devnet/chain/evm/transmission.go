package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

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
	// Observations are the values of the oracles. The contract demands that they ascend.
	Observations []*big.Int
	// Observers are the oracles of the observations, by their place in the configuration.
	Observers []int
	// ObservationsTimestamp is when the oracles observed, in Unix seconds.
	ObservationsTimestamp uint32
	// Transmitter is the account that sent the report.
	Transmitter common.Address
	// GasUsed is the gas that the transaction used.
	GasUsed uint64
}

// Watch calls take with every transmission of the feed, in the order of the chain, until ctx ends, take fails or the
// connection breaks; the error says which. It has its own WebSocket connection, as any reader of the feed would; if the
// chain serves none, it asks for the logs of new blocks.
func (f *Feed) Watch(ctx context.Context, take func(Transmission) error) error {
	show := func(event *ocr2aggregator.OCR2AggregatorNewTransmission) error {
		if event.Raw.Removed { // its block is no longer of the chain; the transaction will be in another
			return nil
		}
		receipt, err := f.chain.receipt(ctx, event.Raw.TxHash)
		if err != nil {
			return fmt.Errorf("watch the feed: read the receipt of round %d: %w", event.AggregatorRoundId, err)
		}
		return take(transmission(event, receipt.GasUsed))
	}
	if f.chain.wsURL == "" {
		return f.poll(ctx, show)
	}
	client, err := ethclient.DialContext(ctx, f.chain.wsURL)
	if err != nil {
		return fmt.Errorf("watch the feed: connect to the chain's WebSocket: %w", err)
	}
	defer client.Close()
	aggregator, err := ocr2aggregator.NewOCR2AggregatorFilterer(f.address, client)
	if err != nil {
		return fmt.Errorf("watch the feed: %w", err)
	}
	events := make(chan *ocr2aggregator.OCR2AggregatorNewTransmission, 64)
	subscription, err := aggregator.WatchNewTransmission(&bind.WatchOpts{Context: ctx}, events, nil)
	if err != nil {
		return fmt.Errorf("watch the feed: subscribe to NewTransmission: %w", err)
	}
	return follow(ctx, "watch the feed", subscription, events, show)
}

// follow gives take what a subscription brings until ctx ends, take fails or the subscription ends, and unsubscribes.
func follow[E any](ctx context.Context, what string, subscription ethereum.Subscription, events <-chan E,
	take func(E) error) error {
	defer subscription.Unsubscribe()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-subscription.Err():
			if err == nil {
				err = errors.New("the chain ended the subscription")
			}
			return fmt.Errorf("%s: %w", what, err)
		case event := <-events:
			if err := take(event); err != nil {
				return err
			}
		}
	}
}

// pollPeriod is how often a chain without WebSocket is asked for its latest block.
const pollPeriod = 500 * time.Millisecond

// poll shows the feed's events block by block.
func (f *Feed) poll(ctx context.Context, show func(*ocr2aggregator.OCR2AggregatorNewTransmission) error) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for next := f.chain.first; ; {
		head, err := f.chain.client.BlockNumber(ctx)
		if err != nil {
			return fmt.Errorf("watch the feed: read the number of the chain's latest block: %w", err)
		}
		if head >= next {
			events, err := f.aggregator.FilterNewTransmission(&bind.FilterOpts{Start: next, End: &head, Context: ctx}, nil)
			if err != nil {
				return fmt.Errorf("watch the feed: read the logs of the blocks %d to %d: %w", next, head, err)
			}
			for events.Next() {
				if err := show(events.Event); err != nil {
					return errors.Join(err, events.Close())
				}
			}
			if err := errors.Join(events.Error(), events.Close()); err != nil {
				return fmt.Errorf("watch the feed: read the logs of the blocks %d to %d: %w", next, head, err)
			}
			next = head + 1
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func transmission(event *ocr2aggregator.OCR2AggregatorNewTransmission, gasUsed uint64) Transmission {
	t := Transmission{
		RoundID:      event.AggregatorRoundId,
		ConfigDigest: event.ConfigDigest,
		// epochAndRound is 40 bits: the epoch, then one byte of round.
		Epoch:                 uint32(new(big.Int).Rsh(event.EpochAndRound, 8).Uint64()),
		Round:                 uint8(event.EpochAndRound.Uint64()),
		Answer:                event.Answer,
		Observations:          event.Observations,
		ObservationsTimestamp: event.ObservationsTimestamp,
		Transmitter:           event.Transmitter,
		GasUsed:               gasUsed,
	}
	for _, observer := range event.Observers {
		t.Observers = append(t.Observers, int(observer))
	}
	return t
}
