package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Contracts is the set of contracts whose events all nodes of a chain push.
type Contracts = relayer.Followed[common.Address]

// Watch implements relayer.Driver. Blocks are pushed if the node supports WebSockets, and otherwise, or while the push
// is broken, polled at PollInterval. While the push works they are also polled, but rarely, because a push that has
// silently stopped looks like an idle chain.
func (d *Driver) Watch(ctx context.Context, c *Client, report func(height uint64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pushed := make(chan pushEvent)
	var pushing sync.WaitGroup
	defer pushing.Wait()
	defer cancel()
	if d.settings.WSURL != "" && !d.settings.SendOnly {
		pushing.Go(func() { d.push(ctx, c, pushed) })
	}
	report(c.Head().Number)
	var (
		works bool   // the push
		last  uint64 // the newest block that was pushed
		stale bool   // the last poll saw a newer block than was pushed
		reset chan<- struct{}
	)
	interval := func() time.Duration { return relayer.Relaxed(d.settings.PollInterval, works || d.settings.SendOnly) }
	timer := time.NewTimer(interval())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-pushed:
			if works != event.works {
				works = event.works
				next := interval()
				if works {
					next = 0 // a block that came before the subscription
				}
				timer.Reset(next)
			}
			if works {
				reset = event.reset
			}
			if event.head != nil {
				last, stale = event.head.Number, false
				c.head.Store(event.head)
				report(event.head.Number)
			}
		case <-timer.C:
			before := c.Head()
			bounded, stop := context.WithTimeout(ctx, d.settings.Timeout)
			err := d.check(bounded, c)
			stop()
			if err != nil {
				return err
			}
			head := c.Head()
			report(head.Number) // even if it is the same: the node lives
			if works && head.Hash != before.Hash && head.Number > last {
				if stale { // twice in a row: it pushes no more
					select {
					case reset <- struct{}{}:
					default:
					}
				}
				stale = true
			}
			timer.Reset(interval())
		}
	}
}

// pushEvent is news of the push: whether it works, and a block.
type pushEvent struct {
	works bool
	head  *Head
	reset chan<- struct{} // takes the wish to subscribe anew
}

// push subscribes to blocks and events, and again after a failure, until ctx ends.
func (d *Driver) push(ctx context.Context, c *Client, events chan<- pushEvent) {
	pause := &backoff.ExponentialBackOff{InitialInterval: 500 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2,
		MaxInterval: 30 * time.Second}
	pause.Reset()
	for {
		worked := d.subscribe(ctx, c, events)
		if worked {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case events <- pushEvent{}:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// subscribe pushes until something fails, and reports whether a block came.
func (d *Driver) subscribe(ctx context.Context, c *Client, events chan<- pushEvent) (worked bool) {
	client := c.rpc
	if d.settings.HTTPURL != "" {
		dial, stop := context.WithTimeout(ctx, d.settings.Timeout)
		own, err := rpc.DialOptions(dial, d.settings.WSURL)
		stop()
		if err != nil {
			return false
		}
		defer own.Close()
		client = own
	}
	heads := make(chan *Head, 16)
	subscription, err := d.open(ctx, client, heads, "newHeads")
	if err != nil {
		return false
	}
	defer subscription.Unsubscribe()
	reset := make(chan struct{}, 1)
	logs := logging{logs: make(chan types.Log, 256)}
	defer logs.end()
	addresses, changed := d.settings.Contracts.All()
	if logs.begin(ctx, d, client, addresses) != nil {
		return false
	}
	event, tell := pushEvent{works: true, reset: reset}, events
	var gathered <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return worked
		case tell <- event:
			event.head, tell = nil, nil
		case head := <-heads: // takes the place of one that was not told yet
			worked, event.head, tell = true, head, events
		case log := <-logs.logs:
			if begins(log, d.settings.Topics) { // nodes are not trusted to filter
				d.settings.Logged(log)
			}
		case <-changed:
			changed, gathered = nil, time.After(gather)
		case <-gathered:
			if addresses, changed = d.settings.Contracts.All(); logs.begin(ctx, d, client, addresses) != nil {
				return worked
			}
		case <-reset:
			return worked
		case <-subscription.Err():
			return worked
		case <-logs.failed:
			return worked
		}
	}
}

// logging is the subscription to the logs of all contracts.
type logging struct {
	logs         chan types.Log
	subscription *rpc.ClientSubscription // nil: there is none
	failed       <-chan error            // nil with it
}

// begin subscribes to the logs of these contracts in place of those before. A node for which they are too many is left
// alone: events are read at each block all the same.
func (l *logging) begin(ctx context.Context, d *Driver, client *rpc.Client, addresses []common.Address) error {
	l.end()
	if len(addresses) == 0 {
		return nil
	}
	subscription, err := d.open(ctx, client, l.logs, "logs",
		map[string]any{"address": addresses, "topics": []any{d.settings.Topics}})
	var answer rpc.Error
	switch {
	case errors.As(err, &answer):
		return nil
	case err != nil:
		return err
	}
	l.subscription, l.failed = subscription, subscription.Err()
	return nil
}

func (l *logging) end() {
	if l.subscription != nil {
		l.subscription.Unsubscribe()
		l.subscription, l.failed = nil, nil
	}
}

// gather is how long a subscription waits for further contracts: a node that starts follows many at once.
const gather = 100 * time.Millisecond

func (d *Driver) open(ctx context.Context, client *rpc.Client, channel any,
	args ...any) (*rpc.ClientSubscription, error) {
	bounded, stop := context.WithTimeout(ctx, d.settings.Timeout)
	defer stop()
	return client.EthSubscribe(bounded, channel, args...)
}
