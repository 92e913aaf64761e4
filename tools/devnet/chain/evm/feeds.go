package evm

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
)

// Gas of the transactions that make a feed. It is given and not estimated, because they go into blocks together, and
// what one does is not seen when the next is made.
const (
	deployGas = 5_500_000
	payeesGas = 1_000_000
	configGas = 4_500_000

	// perBlock is how many feeds are made in a block. Above half of a block's gas the base fee would rise from block to
	// block: with a thousand feeds it came above what go-ethereum takes for a transaction.
	perBlock = blockGasLimit / 2 / deployGas
)

// DeployFeeds deploys unconfigured feeds on one LINK token, as the account that pays.
func (c *Chain) DeployFeeds(ctx context.Context, n int) ([]*Feed, error) {
	first, err := c.DeployFeed(ctx)
	if err != nil {
		return nil, err
	}
	feeds := []*Feed{first}
	for len(feeds) < n {
		var orders []order
		for range min(perBlock, n-len(feeds)) {
			feed := &Feed{chain: c, link: first.link, access: first.access}
			feeds = append(feeds, feed)
			orders = append(orders, within(deployGas, order{"deploy an OCR2Aggregator", feed.deploy}))
		}
		if err := c.together(ctx, orders...); err != nil {
			return nil, err
		}
	}
	return feeds, nil
}

// ConfigureFeeds gives all feeds the same oracles.
func (c *Chain) ConfigureFeeds(ctx context.Context, feeds []*Feed, oracles []Oracle, timing Timing) error {
	for len(feeds) > 0 {
		var orders []order
		some := feeds[:min(perBlock, len(feeds))]
		for _, feed := range some {
			set, err := feed.arguments(ctx, oracles, timing, nil)
			if err != nil {
				return err
			}
			payees, config := feed.orders(set)
			orders = append(orders, within(payeesGas, payees), within(configGas, config))
		}
		if err := c.together(ctx, orders...); err != nil {
			return err
		}
		feeds = feeds[len(some):]
	}
	return nil
}

func within(gas uint64, o order) order {
	return order{o.what, func(auth *bind.TransactOpts) (*types.Transaction, error) {
		auth.GasLimit = gas
		return o.make(auth)
	}}
}

// WatchFeeds calls take with every transmission of the feeds and the index of its feed, until ctx ends, take fails or
// the connection breaks; the error says which. The cost of a transmission is not included.
func (c *Chain) WatchFeeds(ctx context.Context, feeds []*Feed, take func(feed int, t Transmission) error) error {
	client, err := ethclient.DialContext(ctx, c.wsURL)
	if err != nil {
		return fmt.Errorf("watch the feeds: connect to the chain's WebSocket: %w", err)
	}
	defer client.Close()
	parsed, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	if err != nil {
		return fmt.Errorf("watch the feeds: %w", err)
	}
	filterer, err := ocr2aggregator.NewOCR2AggregatorFilterer(common.Address{}, client)
	if err != nil {
		return fmt.Errorf("watch the feeds: %w", err)
	}
	places := map[common.Address]int{}
	for i, feed := range feeds {
		places[feed.address] = i
	}
	logs := make(chan types.Log, 1024)
	subscription, err := client.SubscribeFilterLogs(ctx,
		ethereum.FilterQuery{Topics: [][]common.Hash{{parsed.Events["NewTransmission"].ID}}}, logs)
	if err != nil {
		return fmt.Errorf("watch the feeds: subscribe to NewTransmission: %w", err)
	}
	return follow(ctx, "watch the feeds", subscription, logs, func(log types.Log) error {
		place, known := places[log.Address]
		if !known || log.Removed {
			return nil
		}
		event, err := filterer.ParseNewTransmission(log)
		if err != nil {
			return fmt.Errorf("watch the feeds: %w", err)
		}
		return take(place, transmission(event, 0))
	})
}

// Head is the number of the newest block.
func (c *Chain) Head(ctx context.Context) (uint64, error) {
	head, err := c.client.BlockNumber(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the number of the chain's latest block: %w", err)
	}
	return head, nil
}
