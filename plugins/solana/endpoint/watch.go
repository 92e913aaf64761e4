package endpoint

import (
	"context"
	"sync"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// genesisInterval is how often a node is asked again which chain it serves: load balancers are pointed elsewhere by
// hand, and seldom.
const genesisInterval = time.Minute

// Watch implements relayer.Driver. Slots are pushed if the node supports WebSockets, and otherwise, or while the push
// is broken, polled at PollInterval. While the push works they are also polled, but rarely, because calls go over
// another connection.
func (d *Driver) Watch(ctx context.Context, c *Client, report func(height uint64)) error {
	ctx, cancel := context.WithCancel(ctx)
	pushed := make(chan news)
	var pushing sync.WaitGroup
	defer pushing.Wait()
	defer cancel()
	if d.settings.WSURL != "" && !d.settings.SendOnly {
		pushing.Go(func() { d.push(ctx, c, pushed) })
	}
	report(c.Newest())
	works, checkedAt := false, time.Now()
	interval := func() time.Duration { return relayer.Relaxed(d.settings.PollInterval, works || d.settings.SendOnly) }
	timer := time.NewTimer(interval())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n := <-pushed:
			if works != n.works {
				works = n.works
				timer.Reset(interval())
			}
			if n.works {
				c.slot.Store(n.slot)
				report(n.slot)
			}
		case <-timer.C:
			bounded, stop := context.WithTimeout(ctx, d.settings.Timeout)
			var err error
			if d.settings.SendOnly || time.Since(checkedAt) >= genesisInterval {
				checkedAt = time.Now()
				err = d.check(bounded, c)
			} else {
				err = c.look(bounded)
			}
			stop()
			if err != nil {
				return err
			}
			report(c.Newest()) // even if it is the same: the node lives
			timer.Reset(interval())
		}
	}
}
