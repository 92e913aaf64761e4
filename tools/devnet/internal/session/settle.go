package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
)

const (
	// settleTimeout bounds how long relayers may take to finish what the nodes accepted, once nothing new comes.
	settleTimeout = time.Minute
	// settlePeriod is how often they are looked at meanwhile, and how often a chain that devnet makes grows by a block.
	settlePeriod = 100 * time.Millisecond
)

// keeper is a chain that can tell all about its accounts, and that devnet can bring to rest.
type keeper interface {
	// finalize makes a block, so that what is on the chain becomes final.
	finalize(ctx context.Context)
	// finality is how long that takes on a chain that lets nobody make blocks.
	finality(ctx context.Context) (time.Duration, error)
	// books are all that Books asks of a chain.
	books(ctx context.Context, members []*member) (audit.Books, error)
}

// settle takes the jobs from the nodes, waits until their relayers have finished what the nodes accepted, and compares
// that with what is on the chain. Jobs that are gone excuse nothing: what was accepted is to be sent.
func (n *network) settle(ctx context.Context) error {
	n.display.Step("Removing the jobs, and waiting until the chain has all that the nodes accepted …")
	if err := n.each(ctx, func(ctx context.Context, m *member) error { return m.RemoveJob(ctx, m.jobID) }); err != nil {
		return err
	}
	patience := cmp.Or(n.config.settleTimeout, settleTimeout)
	if kept, tells := n.ledger.(keeper); tells {
		finality, err := kept.finality(ctx)
		if err != nil {
			return err
		}
		patience += finality
	}
	return look(ctx, patience, func(late bool) (bool, error) {
		done, delivery, fault := n.compare(ctx, late)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if !late && (!done || fault != nil) {
			return false, nil
		}
		n.mu.Lock()
		n.result.Reports = delivery
		n.mu.Unlock()
		if fault != nil {
			return false, fmt.Errorf("waited %s until all that the nodes accepted is on the chain or stale: %w; the nodes' "+
				"logs and Stores stay with --keep", patience, fault)
		}
		n.display.Step(
			fmt.Sprintf("Of %d reports that the nodes accepted, %d landed on the chain and %d went stale; none is lost.",
				delivery.Accepted, delivery.Landed, delivery.Stale))
		return true, nil
	})
}

// look looks every settlePeriod whether something is done, and for the last time, late, when the patience is over.
func look(ctx context.Context, patience time.Duration, isDone func(late bool) (bool, error)) error {
	ticker := time.NewTicker(settlePeriod)
	defer ticker.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for late := false; ; {
		if done, err := isDone(late); done || late || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			late = true
		case <-ticker.C:
		}
	}
}

// await waits until all nodes are ready, including those that were killed.
func (n *network) await(ctx context.Context) error {
	return n.each(ctx, func(ctx context.Context, m *member) error {
		ready, cancel := context.WithTimeoutCause(ctx, returnTimeout, fmt.Errorf("it had %s", returnTimeout))
		defer cancel()
		if err := m.WaitReady(ready); err != nil {
			return err
		}
		m.back()
		return nil
	})
}

// compare compares once what the nodes have accepted with what the chain has. done says that no relayer has anything
// left to do. While one has, nothing is compared unless it is late.
func (n *network) compare(ctx context.Context, late bool) (done bool, delivery *audit.Delivery, fault error) {
	flying := map[string][]uint64{}
	var left error
	for _, m := range n.members {
		unfinished, err := m.gather(ctx)
		if err != nil {
			return false, nil, err
		}
		if !unfinished.Done() {
			left = fmt.Errorf("the relayer of %s still has %d reports and the transactions %v of its accounts in its Store",
				m.Name(), len(unfinished.Reports), unfinished.Numbers)
		}
		flying[m.Name()] = unfinished.Numbers[m.keys.Account]
	}
	kept, tells := n.ledger.(keeper)
	if tells {
		kept.finalize(ctx)
	}
	if left != nil && !late {
		return false, nil, nil
	}
	var books audit.Books
	if tells {
		var err error
		if books, err = kept.books(ctx, n.members); err != nil {
			return false, nil, err
		}
		for i, account := range books.Accounts {
			books.Accounts[i].Flying = flying[account.Node]
		}
	} else {
		n.mu.Lock()
		books.Landed = slices.Clone(n.landed)
		n.mu.Unlock()
	}
	books.Accepted, books.Unexplained = map[audit.Position][]string{}, map[audit.Position]bool{}
	for _, m := range n.members {
		if err := m.readLog(); err != nil {
			return false, nil, err
		}
		for position, explained := range m.acceptances() {
			books.Accepted[position] = append(books.Accepted[position], m.Name())
			if !explained {
				books.Unexplained[position] = true
			}
		}
	}
	compared, fault := audit.Deliver(books)
	if fault == nil {
		fault = left
	}
	if fault == nil && len(books.Landed) > 0 && len(books.Accepted) == 0 {
		fault = fmt.Errorf("the chain has %d reports, and the nodes' logs tell of none that was handed to a relayer: they "+
			"word it otherwise than devnet knows", len(books.Landed))
	}
	return left == nil, &compared, fault
}
