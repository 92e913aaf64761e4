package service

import (
	"cmp"
	"context"
	"maps"
	"math"
	"math/big"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// balancePeriod is how often a balance is read unless the relayer says otherwise: an account that is empty shows by its
// transactions, and one that becomes so takes hours.
const balancePeriod = 30 * time.Second

// watchBalance begins to read what an account holds.
func (c *Chain[C, K, A, F]) watchBalance(name string, q *Queue[A]) *relayer.Poller[*big.Int] {
	gauge := c.settings.Metrics.balance
	period := cmp.Or(c.settings.BalancePeriod, balancePeriod)
	return relayer.NewPoller(relayer.PollerSettings[*big.Int]{
		Subject: "the balance of " + name, Interval: period, Retry: period,
		Fetch: func(ctx context.Context) (*big.Int, error) {
			if err := c.pool.Await(ctx); err != nil {
				return nil, err
			}
			return c.settings.Balance(ctx, q.Account)
		},
		Fetched: func(balance *big.Int) {
			q.held.Store(balance)
			value, _ := new(big.Float).SetInt(balance).Float64()
			gauge.WithLabelValues(c.id, name).Set(value / c.settings.Coin)
		},
	})
}

// account is what is known of an account, for operators.
func (c *Chain[C, K, A, F]) account(name string, q *Queue[A]) *relayerv1.AccountStatus {
	status := &relayerv1.AccountStatus{
		Account: name, Balance: wire.BigInt(q.held.Load()), Trouble: cmp.Or(q.Account.Trouble(), q.Trouble()),
		OldestWaiting: durationpb.New(q.Age()),
	}
	if c.settings.Coin > 1 {
		status.Decimals = uint32(math.Round(math.Log10(c.settings.Coin)))
	}
	return status
}

// list adds a provider's contract to those whose answers are shown, until unlist.
func (c *Chain[C, K, A, F]) list(provider string, p provided) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.providers[provider] = p
}

func (c *Chain[C, K, A, F]) unlist(provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.providers, provider)
}

// now is what metrics show of the chain. It waits for nothing.
func (c *Chain[C, K, A, F]) now() now {
	n := now{up: map[string]bool{}, ages: map[string]time.Duration{}, answers: map[string]Transmission{}}
	for _, node := range c.pool.Statuses() {
		n.up[node.GetName()] = node.GetState() == relayerv1.NodeState_NODE_STATE_ALIVE
	}
	c.mu.Lock()
	queues, providers := maps.Clone(c.queues), maps.Clone(c.providers)
	c.mu.Unlock()
	for account, q := range queues {
		n.ages[account] = q.Age()
	}
	// Contracts answer from what they have read, and wait no longer than their context for the first reading.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, p := range providers {
		latest, err := p.contract.Latest(ended)
		if err == nil && latest.Answer != nil && latest.Time.Unix() > 0 {
			n.answers[p.name] = latest
		}
	}
	return n
}
