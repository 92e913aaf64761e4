package starknet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/plugins/starknet/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/stark"
)

const (
	// backstep is by how many blocks an answer may be older than the one before and be passed over: load balancers put nodes behind
	// one address that are not quite level.
	backstep = 5
	// steady is how long they may go on.
	steady = 30 * time.Second
)

// contract follows one aggregator for all providers that share it.
type contract struct {
	address stark.Felt
	chain   stark.Felt
	pool    *account.Pool
	hub     *relayer.Hub
	poller  *relayer.Poller[view]

	mu        sync.Mutex
	providers map[string]struct{}
	latest    *view // that the poller last read
	config    *aggregator.Config
	configAt  uint64
}

// view is what a contract answered at one moment, at the newest complete block.
type view struct {
	head         endpoint.Head
	config       aggregator.ConfigDetails
	transmission aggregator.TransmissionDetails
	read         time.Time
}

// follow begins to read a contract: at an interval, and at each new block of any node.
func (chain *Chain) follow(address stark.Felt) *contract {
	c := &contract{address: address, chain: chain.id, pool: chain.Pool(), hub: chain.Hub(), providers: map[string]struct{}{}}
	config := chain.config
	interval, timeout := time.Duration(config.OCR2CachePollPeriod), time.Duration(config.RequestTimeout)
	c.poller = relayer.NewPoller(relayer.PollerSettings[view]{
		Subject: "the contract " + c.address.String(), Fetch: c.fetch, Fetched: c.publish, Why: c.pool.Why,
		Interval: interval, Retry: min(interval, time.Second), Gap: min(interval/2, 500*time.Millisecond), TTL: time.Duration(config.OCR2CacheTTL), Timeout: 2 * timeout,
	})
	return c
}

// Nudge implements service.Followed.
func (c *contract) Nudge() { c.poller.Nudge() }

// Close implements service.Followed.
func (c *contract) Close() error { return c.poller.Close() }

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

// fetch reads both views at one node.
func (c *contract) fetch(ctx context.Context) (view, error) {
	if err := c.pool.Await(ctx); err != nil {
		return view{}, err
	}
	var v view
	err := c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		v = view{head: client.Head()}
		details, err := c.view(ctx, client, aggregator.ConfigDetailsView)
		if err != nil {
			return err
		}
		if v.config, err = aggregator.ParseConfigDetails(details); err != nil {
			return relayer.Answered(err)
		}
		transmission, err := c.view(ctx, client, aggregator.TransmissionDetailsView)
		if err != nil {
			return err
		}
		if v.transmission, err = aggregator.ParseTransmissionDetails(transmission); err != nil {
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

func (c *contract) view(ctx context.Context, client *endpoint.Client, name string) ([]stark.Felt, error) {
	answer, err := client.View(ctx, c.address, aggregator.Selector(name))
	switch {
	case endpoint.IsCode(err, endpoint.CodeContractNotFound):
		return nil, relayer.Answered(fmt.Errorf("there is no contract at this address; check the contract's address and the chain"))
	case endpoint.IsCode(err, endpoint.CodeEntrypointNotFound), endpoint.IsCode(err, endpoint.CodeContractError):
		return nil, relayer.Answered(fmt.Errorf("the contract does not answer %s (%w); check that it is an OCR2 aggregator", name, err))
	}
	return answer, err
}

// forget makes the next question for a configuration read the chain again, if the one that is kept is of that block or a later one.
func (c *contract) forget(from uint64) {
	c.mu.Lock()
	if c.configAt >= from {
		c.config = nil
	}
	c.mu.Unlock()
	c.poller.Trigger()
}

// latestConfig reads the configuration that was set in a block. It never changes, so the last one is kept.
func (c *contract) latestConfig(ctx context.Context, block uint64) (aggregator.Config, error) {
	c.mu.Lock()
	if c.config != nil && c.configAt == block {
		defer c.mu.Unlock()
		return *c.config, nil
	}
	c.mu.Unlock()
	var config aggregator.Config
	err := c.pool.Do(ctx, func(ctx context.Context, client *endpoint.Client) error {
		events, err := client.Events(ctx, c.address, aggregator.Selector(aggregator.ConfigSetEvent), block)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return relayer.Answered(status.Errorf(codes.NotFound, "the contract %s set no configuration in block %d", c.address, block))
		}
		last := events[len(events)-1]
		if config, err = aggregator.ParseConfigSet(last.Keys, last.Data); err != nil {
			return relayer.Said(err.Error())
		}
		digest, err := config.ComputeDigest(c.chain, c.address)
		if err != nil || digest != config.Digest {
			return relayer.Said(fmt.Sprintf("answers with a configuration of block %d whose digest is not that of its content", block))
		}
		return nil
	})
	if err != nil {
		return aggregator.Config{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config, c.configAt = &config, block
	return config, nil
}
