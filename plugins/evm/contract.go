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
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/account"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
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
	// steady is how long answers from blocks that are a little older may go on: load balancers put nodes behind one
	// address that are not quite level.
	steady = 10 * time.Second
)

// contract follows one aggregator for all providers that share it.
type contract struct {
	*service.Polled[*endpoint.Client]
	address  common.Address
	pool     *account.Pool
	pushed   *endpoint.Contracts
	backfill uint64
	logger   *slog.Logger
	events   *relayer.Poller[struct{}]

	mu      sync.Mutex
	scanned uint64
	unread  time.Time // when events could last not be read; zero: they were read since
	request *request
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
// read apart from views, at most once in LogPollInterval while none is pushed: a feed needs the views and can do
// without the events.
func (chain *Chain) follow(address common.Address) *contract {
	interval, eventGap, timeout := chain.config.PollInterval.Duration, chain.config.LogPollInterval.Duration,
		chain.config.RequestTimeout.Duration
	gap := min(interval/2, 500*time.Millisecond)
	digester := evmutil.EVMOffchainConfigDigester{ChainID: chain.id.Uint64(), ContractAddress: address}
	c := &contract{
		address: address, pool: chain.Pool(), pushed: &chain.events,
		backfill: uint64(chain.config.LogBackfillDepth), logger: chain.Logger(),
	}
	c.pushed.Add(address)
	c.Polled = service.NewPolled(service.PolledSettings[*endpoint.Client]{
		Address: address.Hex(), Pool: c.pool, Hub: chain.Hub(), Steady: steady,
		Poller: relayer.PollerSettings[service.View]{Retry: interval, Gap: gap, Timeout: 2 * timeout},
		Read: func(ctx context.Context, client *endpoint.Client) (service.View, error) {
			return read(ctx, client, address)
		},
		Config: func(ctx context.Context, client *endpoint.Client, block uint64) (*relayerv1.ContractConfig, error) {
			return configSet(ctx, client, address, block)
		},
		Digest:       func(config *relayerv1.ContractConfig) ([32]byte, error) { return digest(digester, config) },
		DigestPrefix: uint32(types.ConfigDigestPrefixEVMSimple),
	})
	c.events = relayer.NewPoller(relayer.PollerSettings[struct{}]{
		Subject: "the events of the contract " + c.address.Hex(), Fetch: c.listen, Why: c.pool.Why,
		Interval: max(unasked, eventGap), Retry: interval, Gap: max(gap, eventGap), Timeout: 2 * timeout,
	})
	return c
}

// Close ends all reading.
func (c *contract) Close() error {
	c.pushed.Remove(c.address)
	return errors.Join(c.Polled.Close(), c.events.Close())
}

// Nudge has the contract read because there is a new block, and trigger because it has news.
func (c *contract) Nudge() {
	c.Polled.Nudge()
	c.events.Nudge()
}

func (c *contract) trigger() {
	c.Trigger()
	c.events.Trigger()
}

// read reads all views at one node in one batch.
func read(ctx context.Context, client *endpoint.Client, address common.Address) (service.View, error) {
	var (
		head                         endpoint.Head
		details, transmission, epoch hexutil.Bytes
	)
	err := client.Batch(ctx, []rpc.BatchElem{
		endpoint.LatestBlock(&head),
		aggregator.ConfigDetailsCall(address, &details),
		aggregator.TransmissionDetailsCall(address, &transmission),
		aggregator.DigestAndEpochCall(address, &epoch),
	})
	if err != nil {
		return service.View{}, err
	}
	config, err := aggregator.ParseConfigDetails(details)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	latest, err := aggregator.ParseTransmissionDetails(transmission)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	at, err := aggregator.ParseDigestAndEpoch(epoch)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	return service.View{
		State: service.State{ConfigBlock: config.Block, ConfigDigest: config.Digest, Epoch: at.Epoch, EpochDigest: at.Digest},
		Transmission: service.Transmission{
			Round: service.Round{Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round}, Answer: latest.Answer,
			Time: latest.Time,
		},
		Block: head.Number, Time: head.Time,
	}, nil
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
		newest = &request{RoundRequested: event, block: log.BlockNumber, index: log.Index,
			at: time.Unix(int64(log.BlockTimestamp), 0)}
	}
	c.mu.Lock()
	known := c.request
	c.mu.Unlock()
	if newest != nil && known != nil &&
		(newest.block < known.block || newest.block == known.block && newest.index <= known.index) {
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

// Requested implements service.Contract. What is not read yet is awaited once, after the start.
func (c *contract) Requested(ctx context.Context, lookback time.Duration) (service.Round, error) {
	v, err := c.View(ctx)
	if err != nil {
		return service.Round{}, err
	}
	_, _ = c.events.Await(ctx) // whatever comes of it
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.request; r != nil && v.Time.Sub(r.at) <= lookback {
		return service.Round{Digest: r.Digest, Epoch: r.Epoch, Round: r.Round}, nil
	}
	return service.Round{}, nil
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

// configSet reads the configuration that was set in a block.
func configSet(ctx context.Context, client *endpoint.Client, address common.Address,
	block uint64) (*relayerv1.ContractConfig, error) {
	logs, _, err := client.Logs(ctx, address, aggregator.ConfigSetTopic(), block, block)
	if err != nil || len(logs) == 0 {
		return nil, err
	}
	config, err := aggregator.ParseConfigSet(logs[len(logs)-1])
	if err != nil {
		return nil, relayer.Said(err.Error())
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: config.ConfigDigest[:], ConfigCount: config.ConfigCount, F: uint32(config.F),
		OnchainConfig:         config.OnchainConfig,
		OffchainConfigVersion: config.OffchainConfigVersion, OffchainConfig: config.OffchainConfig,
	}
	for _, signer := range config.Signers {
		message.Signers = append(message.Signers, signer)
	}
	for _, transmitter := range config.Transmitters {
		message.Transmitters = append(message.Transmitters, string(transmitter))
	}
	return message, nil
}

// digest computes a configuration's digest as the contract does.
func digest(digester evmutil.EVMOffchainConfigDigester, in *relayerv1.ContractConfig) ([32]byte, error) {
	f, err := service.NarrowF(in)
	if err != nil {
		return [32]byte{}, err
	}
	config := types.ContractConfig{
		ConfigCount: in.GetConfigCount(), F: f, OnchainConfig: in.GetOnchainConfig(),
		OffchainConfigVersion: in.GetOffchainConfigVersion(), OffchainConfig: in.GetOffchainConfig(),
	}
	for _, signer := range in.GetSigners() {
		config.Signers = append(config.Signers, signer)
	}
	for _, transmitter := range in.GetTransmitters() {
		config.Transmitters = append(config.Transmitters, types.Account(transmitter))
	}
	of, err := digester.ConfigDigest(context.Background(), config)
	if err != nil {
		return [32]byte{}, fmt.Errorf("config: %w", err)
	}
	return of, nil
}
