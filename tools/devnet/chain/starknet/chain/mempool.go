package chain

import (
	"math/big"
	"slices"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
)

// The sequencer's rules, by the defaults of its gateway and its mempool.
const (
	defaultMempoolTTL = time.Minute
	// maxNonceGap is how far ahead of its account a transaction may be to wait for those in between.
	maxNonceGap = 200
	// escalation is by how many per cent the price and the tip of a replacement must be higher.
	escalation = 10
	// minL2Price and maxL2Amount bound what a transaction offers for L2 gas, in FRI and in gas.
	minL2Price  = 8_000_000_000
	maxL2Amount = 1_200_000_000
)

// Add takes a transaction, or says why not as the newest version does, and executes in the block that is being made
// what is next in its account's line, unless transactions are held.
func (c *Chain) Add(inv Invoke) (stark.Felt, *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	hash := inv.Hash(c.id)
	if failure := c.check(inv, hash); failure != nil {
		return stark.Felt{}, failure
	}
	if replaced := c.rival(inv); replaced != nil {
		c.drop(replaced)
	}
	t := &transaction{Invoke: inv, hash: hash, status: statusReceived, taken: time.Now()}
	c.transactions[hash] = t
	c.mempool = append(c.mempool, t)
	c.flow()
	return hash, nil
}

// Reject takes a transaction, if it can be, and rejects it afterwards: its nonce stays free.
func (c *Chain) Reject(inv Invoke, reason string) (stark.Felt, *Failure) {
	return c.lose(inv, statusRejected, reason)
}

// Lose takes a transaction, if it can be, and loses it, while nodes go on to call it received.
func (c *Chain) Lose(inv Invoke) (stark.Felt, *Failure) { return c.lose(inv, statusReceived, "") }

func (c *Chain) lose(inv Invoke, status, reason string) (stark.Felt, *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := inv.Hash(c.id)
	if failure := c.check(inv, hash); failure != nil {
		return stark.Felt{}, failure
	}
	c.transactions[hash] = &transaction{Invoke: inv, hash: hash, status: status, receipt: receipt{reason: reason}}
	return hash, nil
}

// Check says why a transaction would not be taken, and its hash.
func (c *Chain) Check(inv Invoke) (stark.Felt, *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := inv.Hash(c.id)
	return hash, c.check(inv, hash)
}

// rival is the transaction in the mempool that an account has with the same nonce.
func (c *Chain) rival(inv Invoke) *transaction {
	i := slices.IndexFunc(c.mempool, func(t *transaction) bool {
		return *t.Sender == *inv.Sender && *t.Nonce == *inv.Nonce
	})
	if i < 0 {
		return nil
	}
	return c.mempool[i]
}

// has tells whether the sequencer has a transaction, in a block or in its mempool.
func (c *Chain) has(hash stark.Felt) bool {
	t := c.transactions[hash]
	return t != nil && (t.block != nil || slices.Contains(c.mempool, t))
}

// drop forgets a transaction of the mempool.
func (c *Chain) drop(t *transaction) {
	c.mempool = slices.DeleteFunc(c.mempool, func(other *transaction) bool { return other == t })
	delete(c.transactions, t.hash)
}

// expire drops what was in the mempool for too long.
func (c *Chain) expire() {
	for _, t := range slices.Clone(c.mempool) {
		if time.Since(t.taken) > c.settings.MempoolTTL {
			c.drop(t)
		}
	}
}

// flow takes out of the mempool what is next in its account's line, or behind it, unless transactions are held.
func (c *Chain) flow() {
	for ready := !c.held; ready; {
		i := slices.IndexFunc(c.mempool, func(t *transaction) bool { return t.number() <= c.state.accounts[*t.Sender].nonce })
		if ready = i >= 0; ready {
			t := c.mempool[i]
			c.mempool = slices.Delete(c.mempool, i, i+1)
			c.include(t)
		}
	}
}

// escalates tells whether what a replacement offers is enough more than what is replaced does.
func escalates(before, after *big.Int) bool {
	least := new(big.Int).Mul(before, big.NewInt(escalation))
	least.Div(least, big.NewInt(100)).Add(least, before)
	return after.Cmp(least) >= 0
}

// next is the nonce of an account's next transaction: that after those in the mempool.
func (c *Chain) next(sender stark.Felt) uint64 {
	next := c.state.accounts[sender].nonce
	for slices.ContainsFunc(c.mempool, func(t *transaction) bool { return *t.Sender == sender && t.number() == next }) {
		next++
	}
	return next
}
