package evm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	gethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

const (
	// pages is how many calls read events in one turn: where a server allows few blocks in one, the way back is long,
	// and other calls want to be made too.
	pages = 10
	// unasked is how often events are read where no node tells of a new block.
	unasked = 15 * time.Second
	// pardon is how long events are not read after they could not be.
	pardon = 5 * time.Second
	// overlap is how many blocks are read again at each poll, because a reorganisation may have put an event there.
	overlap = 10
	// backstep is by how many blocks an answer may be older than the one before and be passed over: load balancers put nodes behind
	// one address that are not quite level. After steady such answers the chain itself has gone back.
	backstep = 5
	// steady is how long they may go on.
	steady = 10 * time.Second
)

// contract follows one aggregator for all providers that share it.
type contract struct {
	address  common.Address
	digester evmutil.EVMOffchainConfigDigester
	pool     *account.Pool
	hub      *relayer.Hub
	backfill uint64
	logger   *slog.Logger
	poller   *relayer.Poller[view]
	events   *relayer.Poller[struct{}]

	mu        sync.Mutex
	providers map[string]struct{}
	latest    *view // that the poller last read
	scanned   uint64
	unread    time.Time // when events could last not be read; zero: they were read since
	request   *request
	config    *types.ContractConfig // of configAt
	configAt  uint64
}

// view is what a contract answered at one block.
type view struct {
	head         endpoint.Head
	config       aggregator.ConfigDetails
	transmission aggregator.TransmissionDetails
	epoch        aggregator.DigestAndEpoch
	read         time.Time
}

// request is a RoundRequested event.
type request struct {
	aggregator.RoundRequested
	block uint64
	index uint
	at    time.Time
}

// follow begins to read a contract: at each new block of any node and at each event that a node pushes. PollInterval is
// how often nodes are asked for blocks; contracts are not read much more often, however fast the chain is. Events are
// read apart from views, at most once in LogPollInterval while none is pushed: a feed needs the views and can do without the
// events.
func (chain *Chain) follow(address common.Address) *contract {
	c := &contract{
		address: address, pool: chain.Pool(), hub: chain.Hub(), backfill: uint64(chain.config.LogBackfillDepth), logger: chain.Logger(),
		digester:  evmutil.EVMOffchainConfigDigester{ChainID: chain.id.Uint64(), ContractAddress: address},
		providers: map[string]struct{}{},
	}
	interval, eventGap, timeout := time.Duration(chain.config.PollInterval), time.Duration(chain.config.LogPollInterval), time.Duration(chain.config.RequestTimeout)
	gap := min(interval/2, 500*time.Millisecond)
	c.poller = relayer.NewPoller(relayer.PollerSettings[view]{
		Subject: "the contract " + c.address.Hex(), Fetch: c.fetch, Fetched: c.publish, Why: c.pool.Why,
		Retry: interval, Gap: gap, Timeout: 2 * timeout,
	})
	c.events = relayer.NewPoller(relayer.PollerSettings[struct{}]{
		Subject: "the events of the contract " + c.address.Hex(), Fetch: c.listen, Why: c.pool.Why,
		Interval: max(unasked, eventGap), Retry: interval, Gap: max(gap, eventGap), Timeout: 2 * timeout,
	})
	return c
}

// Close ends all reading.
func (c *contract) Close() error { return errors.Join(c.poller.Close(), c.events.Close()) }

// Nudge has the contract read because there is a new block, and trigger because it has news.
func (c *contract) Nudge() {
	c.poller.Nudge()
	c.events.Nudge()
}

func (c *contract) trigger() {
	c.poller.Trigger()
	c.events.Trigger()
}

// attach tells the hub of the contract's configuration in a provider's name.
func (c *contract) attach(provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.providers[provider] = struct{}{}
	if c.latest != nil {
		c.hub.Publish(provider, c.latest.config.Block, c.latest.config.Digest)
	}
}

func (c *contract) detach(provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.providers, provider)
	c.hub.Remove(provider)
}

func (c *contract) publish(v view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = &v
	for provider := range c.providers {
		c.hub.Publish(provider, v.config.Block, v.config.Digest)
	}
}

// fetch reads all views at one node in one batch.
func (c *contract) fetch(ctx context.Context) (view, error) {
	if err := c.pool.Await(ctx); err != nil {
		return view{}, err
	}
	var v view
	err := c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var details, transmission, epoch hexutil.Bytes
		v = view{}
		err := client.Batch(ctx, []rpc.BatchElem{
			endpoint.LatestBlock(&v.head),
			aggregator.ConfigDetailsCall(c.address, &details),
			aggregator.TransmissionDetailsCall(c.address, &transmission),
			aggregator.DigestAndEpochCall(c.address, &epoch),
		})
		if err != nil {
			return err
		}
		if v.config, err = aggregator.ParseConfigDetails(details); err != nil {
			return relayer.Answered(err)
		}
		if v.transmission, err = aggregator.ParseTransmissionDetails(transmission); err != nil {
			return relayer.Answered(err)
		}
		if v.epoch, err = aggregator.ParseDigestAndEpoch(epoch); err != nil {
			return relayer.Answered(err)
		}
		return nil
	})
	if err != nil {
		return view{}, err
	}
	v.read = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.latest; old != nil && v.head.Number < old.head.Number && old.head.Number-v.head.Number <= backstep && time.Since(old.read) < steady {
		return *old, nil
	}
	return v, nil
}

// listen reads events up to the newest block, or as far as it gets in one turn. That a server does not let them be
// read is said once and fails nothing.
func (c *contract) listen(ctx context.Context) (struct{}, error) {
	if err := c.pool.Await(ctx); err != nil {
		return struct{}{}, err
	}
	head := c.pool.Height()
	c.mu.Lock()
	from, unread := c.scanned, c.unread
	c.mu.Unlock()
	if !unread.IsZero() && time.Since(unread) < pardon {
		return struct{}{}, nil
	}
	if from == 0 && head > c.backfill {
		from = head - c.backfill
	}
	from -= min(from, overlap)
	var err error
	for turn, next := 0, from; next <= head && err == nil; turn++ {
		if turn == pages {
			c.events.Nudge()
			break
		}
		from = next
		if next, err = c.scan(ctx, from, head); next == from {
			break
		}
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		c.tell(err)
	}
	return struct{}{}, nil
}

// tell says when events begin to be unreadable and when they are read again.
func (c *contract) tell(err error) {
	c.mu.Lock()
	was := !c.unread.IsZero()
	c.unread = time.Time{}
	if err != nil {
		c.unread = time.Now()
	}
	c.mu.Unlock()
	switch {
	case err != nil && !was:
		c.logger.Warn("the events of a contract cannot be read, and rounds that somebody asks for on the chain are missed",
			"contract", c.address, "reason", status.Convert(err).Message())
	case err == nil && was:
		c.logger.Info("the events of a contract are read again", "contract", c.address)
	}
}

// scan reads events from one block to another, or as far as one call gets, and returns the block to go on from. It is
// the first one if no node is asked that has it.
func (c *contract) scan(ctx context.Context, from, to uint64) (next uint64, err error) {
	err = c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		to := min(to, client.Head().Number) // of the future, nodes answer with an error, or with nothing
		if next = from; to < from {
			return nil
		}
		logs, reached, err := client.Logs(ctx, c.address, aggregator.RoundRequestedTopic(), from, to)
		if err != nil {
			return err
		}
		next = reached + 1
		return c.note(ctx, client, logs, reached)
	})
	return next, err
}

// note keeps the newest event.
func (c *contract) note(ctx context.Context, client *endpoint.Client, logs []gethtypes.Log, scanned uint64) error {
	var newest *request
	for _, log := range logs {
		if newest != nil && (log.BlockNumber < newest.block || log.BlockNumber == newest.block && log.Index < newest.index) {
			continue
		}
		event, err := aggregator.ParseRoundRequested(log)
		if err != nil {
			return relayer.Said(err.Error())
		}
		newest = &request{RoundRequested: event, block: log.BlockNumber, index: log.Index, at: time.Unix(int64(log.BlockTimestamp), 0)}
	}
	c.mu.Lock()
	known := c.request
	c.mu.Unlock()
	if newest != nil && known != nil && (newest.block < known.block || newest.block == known.block && newest.index <= known.index) {
		newest = nil
	}
	if newest != nil && newest.at.Unix() == 0 { // not every node puts the block's time into its events
		var block endpoint.Head
		if err := client.Call(ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(newest.block), false); err != nil {
			return err
		}
		newest.at = block.Time
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if newest != nil {
		c.request = newest
	}
	c.scanned = max(c.scanned, scanned)
	return nil
}

// requested is the round last asked for, if any. What is not read yet is awaited once, after the start.
func (c *contract) requested(ctx context.Context) *request {
	_, _ = c.events.Await(ctx) // whatever comes of it
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.request
}

// replay reads events from a block on.
func (c *contract) replay(ctx context.Context, from uint64) error {
	for head := c.pool.Height(); from <= head; {
		next, err := c.scan(ctx, from, head)
		if err != nil {
			return err
		}
		if next == from { // the newest blocks are read as ever, when the node has them
			break
		}
		from = next
	}
	return nil
}

// latestConfig reads the configuration that was set in a block. It never changes, so the last one is kept.
func (c *contract) latestConfig(ctx context.Context, block uint64) (types.ContractConfig, error) {
	c.mu.Lock()
	if c.config != nil && c.configAt == block {
		defer c.mu.Unlock()
		return *c.config, nil
	}
	c.mu.Unlock()
	var config types.ContractConfig
	err := c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		logs, _, err := client.Logs(ctx, c.address, aggregator.ConfigSetTopic(), block, block)
		if err != nil {
			return err
		}
		if len(logs) == 0 {
			return relayer.Answered(status.Errorf(codes.NotFound, "the contract %s set no configuration in block %d", c.address, block))
		}
		if config, err = aggregator.ParseConfigSet(logs[len(logs)-1]); err != nil {
			return relayer.Said(err.Error())
		}
		digest, err := c.digester.ConfigDigest(ctx, config)
		if err != nil || digest != config.ConfigDigest {
			return relayer.Said(fmt.Sprintf("answers with a configuration of block %d whose digest is not that of its content", block))
		}
		return nil
	})
	if err != nil {
		return types.ContractConfig{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config, c.configAt = &config, block
	return config, nil
}
