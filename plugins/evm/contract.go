package evm

import (
	"context"
	"fmt"
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
	// page is how many blocks of events one request reads: hosted nodes refuse or cut short much wider ones.
	page = 1000
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
	poller   *relayer.Poller[view]
	users    int // guarded by the chain's mu

	mu        sync.Mutex
	providers map[string]struct{}
	latest    *view // that the poller last read
	scanned   uint64
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
	request      *request // the round last asked for, if any
	read         time.Time
}

// request is a RoundRequested event.
type request struct {
	aggregator.RoundRequested
	block uint64
	index uint
	at    time.Time
}

// follow begins to read a contract: at each new block of any node and at each event that a node pushes. interval is how
// often nodes are asked for blocks; contracts are not read much more often, however fast the chain is.
func (c *contract) follow(interval, timeout time.Duration) {
	c.providers = map[string]struct{}{}
	c.poller = relayer.NewPoller(relayer.PollerSettings[view]{
		Subject: "the contract " + c.address.Hex(), Fetch: c.fetch, Fetched: c.publish, Why: c.pool.Why,
		Retry: interval, Gap: min(interval/2, 500*time.Millisecond), Timeout: 2 * timeout,
	})
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

// fetch reads all views and the events of the last page at one node in one batch.
func (c *contract) fetch(ctx context.Context) (view, error) {
	if err := c.pool.Await(ctx); err != nil {
		return view{}, err
	}
	from, err := c.catchUp(ctx)
	if err != nil {
		return view{}, err
	}
	var v view
	err = c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		var (
			details, transmission, epoch hexutil.Bytes
			logs                         []gethtypes.Log
		)
		v = view{}
		err := client.Batch(ctx, []rpc.BatchElem{
			endpoint.LatestBlock(&v.head),
			aggregator.ConfigDetailsCall(c.address, &details),
			aggregator.TransmissionDetailsCall(c.address, &transmission),
			aggregator.DigestAndEpochCall(c.address, &epoch),
			endpoint.LatestLogs(c.address, aggregator.RoundRequestedTopic(), from, &logs),
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
		return c.note(ctx, client, logs, v.head.Number)
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
	v.request = c.request
	return v, nil
}

// catchUp reads events page by page until one page is left, and returns its first block. Each page is a call of its own, so that
// a long way back is not held against the node's timeout, and what was read stays read.
func (c *contract) catchUp(ctx context.Context) (from uint64, err error) {
	head := c.pool.Height()
	c.mu.Lock()
	from = c.scanned
	if from == 0 && head > c.backfill {
		from = head - c.backfill
	}
	c.mu.Unlock()
	from -= min(from, overlap)
	for ; from+page < head; from += page {
		if err := c.scan(ctx, from, from+page-1); err != nil {
			return 0, err
		}
	}
	return min(from, head), nil
}

// scan reads a page of events.
func (c *contract) scan(ctx context.Context, from, to uint64) error {
	return c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		logs, err := client.Logs(ctx, c.address, aggregator.RoundRequestedTopic(), from, to)
		if err != nil {
			return err
		}
		return c.note(ctx, client, logs, to)
	})
}

// note keeps the newest event.
func (c *contract) note(ctx context.Context, client *endpoint.Client, logs []gethtypes.Log, scanned uint64) error {
	var newest *request
	for _, log := range endpoint.CheckLogs(logs, c.address, aggregator.RoundRequestedTopic()) {
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

// replay reads events from a block on.
func (c *contract) replay(ctx context.Context, from uint64) error {
	defer c.poller.Trigger()
	for head := c.pool.Height(); from <= head; from += page {
		if err := c.scan(ctx, from, min(from+page-1, head)); err != nil {
			return err
		}
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
		logs, err := client.Logs(ctx, c.address, aggregator.ConfigSetTopic(), block, block)
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
