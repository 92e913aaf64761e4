package service

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// ReaderSettings configure a Reader: C is the client of an endpoint, K names a contract.
type ReaderSettings[C any, K comparable] struct {
	Pool *relayer.Pool[C]
	// Poller says how often contracts are read. The Reader sets Subject, Fetch and Why.
	Poller relayer.PollerSettings[struct{}]
	// Read reads all of these contracts from one node, in as few requests as possible. It marks a Reading's error with
	// relayer.Answered if other nodes would give the same answer. An error of Read itself is a fault of the node for
	// all of them.
	Read func(ctx context.Context, client C, contracts []K) ([]Reading, error)
	// Due, if set, says which contracts must be read now: those that have changed according to the chain's events, and
	// those that were not read for long. It is called in each turn, with first set before anything is read, and again
	// after that read with first unset. If it is nil, all contracts are read in each turn.
	Due func(ctx context.Context, first bool) []K
	// Then, if set, ends each turn, for work that can wait.
	Then func(ctx context.Context)
}

// Reading is a contract's answer, or why there was none.
type Reading struct {
	View View
	Err  error
}

// Reader reads the contracts of a chain together: one request to a node reads any number of them. If one contract
// fails, it is asked again separately, and does not keep others from being read.
type Reader[C any, K comparable] struct {
	settings ReaderSettings[C, K]

	mu        sync.Mutex
	closed    bool
	poller    *relayer.Poller[struct{}] // nil: nothing has been followed yet
	contracts map[K]*Polled[C]
}

// NewReader makes a reader. It makes no call yet.
func NewReader[C any, K comparable](settings ReaderSettings[C, K]) *Reader[C, K] {
	settings.Poller.Subject = "the contracts of a chain"
	return &Reader[C, K]{settings: settings, contracts: map[K]*Polled[C]{}}
}

// Follow begins to read a contract, until it is closed.
func (r *Reader[C, K]) Follow(key K, settings PolledSettings[C]) *Polled[C] {
	p := newPolled(settings, r.settings.Pool, r.settings.Poller.TTL)
	p.nudge, p.trigger = r.Nudge, r.Trigger
	p.leave = func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.contracts[key] == p { // it may be followed anew, before the one that is left is closed
			delete(r.contracts, key)
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contracts[key] = p
	switch {
	case r.closed:
	case r.poller == nil:
		poller := r.settings.Poller
		poller.Fetch, poller.Why = r.fetch, r.settings.Pool.Why
		r.poller = relayer.NewPoller(poller)
	default:
		r.poller.Trigger()
	}
	return p
}

// Nudge asks to read contracts because something on the chain has changed.
func (r *Reader[C, K]) Nudge() { r.ask((*relayer.Poller[struct{}]).Nudge) }

// Trigger reads contracts at once.
func (r *Reader[C, K]) Trigger() { r.ask((*relayer.Poller[struct{}]).Trigger) }

func (r *Reader[C, K]) ask(how func(*relayer.Poller[struct{}])) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poller != nil {
		how(r.poller)
	}
}

// Close ends all reading.
func (r *Reader[C, K]) Close() error {
	r.mu.Lock()
	poller := r.poller
	r.closed = true
	r.mu.Unlock()
	if poller == nil {
		return nil
	}
	return poller.Close()
}

// Contracts returns the contracts that are followed.
func (r *Reader[C, K]) Contracts() map[K]*Polled[C] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.contracts)
}

func (r *Reader[C, K]) fetch(ctx context.Context) (struct{}, error) {
	if err := r.settings.Pool.Await(ctx); err != nil {
		for _, p := range r.Contracts() {
			p.fail(err)
		}
		return struct{}{}, err
	}
	var err error
	if r.settings.Due == nil {
		err = r.read(ctx, slices.Collect(maps.Keys(r.Contracts())))
	} else {
		err = r.read(ctx, r.settings.Due(ctx, true))
		if failed := r.read(ctx, r.settings.Due(ctx, false)); err == nil {
			err = failed
		}
	}
	if r.settings.Then != nil {
		r.settings.Then(ctx)
	}
	return struct{}{}, err
}

// alone is how many of the contracts that got no answer together are read separately at the same time.
const alone = 8

// read reads some contracts at one node, and then separately those for which it gave no answer.
func (r *Reader[C, K]) read(ctx context.Context, keys []K) error {
	if len(keys) == 0 {
		return nil
	}
	followed := r.Contracts()
	readings, began, err := r.at(ctx, keys)
	var again errgroup.Group
	again.SetLimit(alone)
	for i, key := range keys {
		p := followed[key]
		switch {
		case p == nil: // nobody follows it any more
		case err != nil:
			p.fail(err)
		case len(keys) > 1 && readings[i].Err != nil && !relayer.IsAnswered(readings[i].Err):
			again.Go(func() error {
				readings, began, err := r.at(ctx, []K{key})
				if err != nil {
					p.fail(err)
					return err
				}
				p.take(readings[0], began)
				return nil
			})
		default:
			p.take(readings[i], began)
		}
	}
	if failed := again.Wait(); err == nil {
		err = failed
	}
	return err
}

// at reads contracts at the best node, and at the next if that one answers for none.
func (r *Reader[C, K]) at(ctx context.Context, keys []K) (readings []Reading, began time.Time, err error) {
	err = r.settings.Pool.Do(ctx, func(ctx context.Context, client C) error {
		began = time.Now()
		var err error
		if readings, err = r.settings.Read(ctx, client, keys); err != nil {
			return err
		}
		fails := func(r Reading) bool { return r.Err != nil && !relayer.IsAnswered(r.Err) }
		if !slices.ContainsFunc(readings, func(r Reading) bool { return !fails(r) }) {
			return readings[0].Err
		}
		return nil
	})
	return readings, began, err
}
