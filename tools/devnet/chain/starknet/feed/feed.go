// Package feed puts an OCR2 feed on a Starknet test network and configures its oracles, reads the feed's events as any
// reader of a feed would, and makes reports for tests that stand in for nodes.
//
// It must not know of nodes, jobs or prices.
package feed

import (
	"context"
	"fmt"
	"math/big"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

const (
	// Decimals is the number of decimals in a feed's answers.
	Decimals = 8
	// MinOracles and MaxOracles bound a feed: fewer outvote no faulty oracle, and the contract has room for no more.
	MinOracles = ocr2.MinOracles
	MaxOracles = aggregator.MaxOracles
	// description is what the feed says of itself.
	description = "loop devnet"
)

// Settings say which feed to make. What is zero is chosen.
type Settings struct {
	// Min and Max bound the answers; nil: 1 and 10^30.
	Min, Max *big.Int
}

// Feed is a feed on a network.
type Feed struct {
	chain    *chain.Chain
	address  stark.Felt
	min, max *big.Int
}

// Deploy makes an unconfigured feed, with LINK in it and oracles that are paid for what they do.
func Deploy(c *chain.Chain, settings Settings) (*Feed, error) {
	f := &Feed{chain: c, min: settings.Min, max: settings.Max}
	if f.min == nil {
		f.min = big.NewInt(1)
	}
	if f.max == nil {
		f.max = new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
	}
	name, err := stark.ShortString(description)
	if err != nil {
		return nil, err
	}
	f.address, err = c.DeployAggregator(aggregator.Settings{
		Min: f.min, Max: f.max, Decimals: Decimals, Description: name,
		Billing:     aggregator.Billing{ObservationPayment: 1, TransmissionPayment: 2, GasBase: 14951, GasPerSignature: 13},
		LinkBalance: new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil),
	})
	return f, err
}

// Address returns the address of the feed's contract.
func (f *Feed) Address() stark.Felt { return f.address }

// Call asks a view of the feed at the block that is being made.
func (f *Feed) Call(ctx context.Context, url, view string) ([]stark.Felt, error) {
	tag, err := preConfirmed(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("ask the feed %s for %s: %w", f.address, view, err)
	}
	var answer []stark.Felt
	err = call(ctx, url, &answer, "starknet_call", map[string]any{
		"contract_address": f.address, "entry_point_selector": aggregator.Selector(view), "calldata": []stark.Felt{},
	}, tag)
	if err != nil {
		return nil, fmt.Errorf("ask the feed %s for %s: %w", f.address, view, err)
	}
	return answer, nil
}
