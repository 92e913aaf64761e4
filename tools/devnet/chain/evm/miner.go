package evm

import (
	"context"
	"time"

	"github.com/ethereum/go-ethereum/core"
)

const (
	// blockPeriod is the longest time between two blocks while the chain's clock is not ahead: nodes that wait for
	// confirmations, or watch that a chain is alive, see it move.
	blockPeriod = time.Second

	// maxLead is how far the chain's clock may run ahead. Ethereum's clock advances by a second or more with every
	// block, so a block per transaction outruns the wall clock as soon as there are more than one a second. Beyond this
	// lead, transactions wait for the next second. Twenty seconds keep the first rounds of a network fast; without a
	// limit a feed whose price stands still would wait out the whole lead before it reports again.
	maxLead = 20 * time.Second
)

// mine makes a block as soon as there are transactions, and an empty one now and then.
func (e *embedded) mine(ctx context.Context) {
	arrivals := make(chan core.NewTxsEvent, 64)
	subscription := e.eth.TxPool().SubscribeTransactions(arrivals, true)
	defer subscription.Unsubscribe()
	ticker := time.NewTicker(blockPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-subscription.Err():
			return
		case <-arrivals:
			if e.lead() < maxLead && e.pace.Load() == 0 {
				e.seal(arrivals)
				ticker.Reset(blockPeriod)
			}
		case <-ticker.C:
			if pace := time.Duration(e.pace.Load()); pace > 0 {
				ticker.Reset(pace)
			}
			pending, _ := e.eth.TxPool().Stats()
			if pending > 0 || e.lead() < 0 {
				e.seal(arrivals)
			}
		}
	}
}

// Pace has devnet's own chain make blocks at most once a period from now on, and not as soon as a transaction arrives.
func (c *Chain) Pace(period time.Duration) {
	if c.own != nil {
		c.own.pace.Store(int64(period))
	}
}

// lead is how far the time of the newest block is ahead of the wall clock.
func (e *embedded) lead() time.Duration {
	return time.Until(time.Unix(int64(e.eth.BlockChain().CurrentBlock().Time), 0))
}

// seal makes a block of all that has arrived.
func (e *embedded) seal(arrivals <-chan core.NewTxsEvent) {
	e.sealing.Lock()
	defer e.sealing.Unlock()
	// What was announced meanwhile is in this block, and must not ask for another.
	for len(arrivals) > 0 {
		<-arrivals
	}
	e.beacon.Commit()
}

// Seal makes a block now and takes the clock a second further.
func (e *embedded) Seal() {
	e.sealing.Lock()
	defer e.sealing.Unlock()
	e.beacon.Commit()
}
