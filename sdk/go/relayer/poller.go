package relayer

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// PollerSettings configure a Poller. Fetch is required.
type PollerSettings[T any] struct {
	// Subject names what is read, for errors: "the contract 0x…".
	Subject string
	// Fetch reads the chain. It must obey its context. An error that is none of UNAVAILABLE, DEADLINE_EXCEEDED and
	// CANCELLED is the chain's answer: waiting would not change it.
	Fetch func(ctx context.Context) (T, error)
	// Why, if set, says what a first read still waits for: which RPC node, and the reason, as Pool.Why does.
	Why func() string
	// Interval is the time between reads without a trigger, varied by a tenth to spread many pollers; 0 means 15 s, a
	// quarter of the TTL.
	Interval time.Duration
	// Retry is the interval after a failed read; 0 means 1 s. Before the first answer it is 50 ms, doubled up to Retry.
	Retry time.Duration
	// Gap is the least time between two reads that Nudge asks for, for chains with very frequent blocks; 0 means 250
	// ms.
	Gap time.Duration
	// TTL is how old an answer may be; 0 means 1 min.
	TTL time.Duration
	// Timeout bounds one Fetch; 0 means 10 s.
	Timeout time.Duration
	// Fetched, if set, is called with each value that was read. It must not block.
	Fetched func(value T)
}

// firstRetry is the pause after a first read that failed: a caller that waits for it may lose a round.
const firstRetry = 50 * time.Millisecond

// Poller reads a value from a chain again and again, so that answers come from its cache and only the first ever waits.
type Poller[T any] struct {
	settings PollerSettings[T]
	now      chan struct{}
	soon     chan struct{}
	cancel   context.CancelFunc
	done     chan struct{}
	cache    *Cache[T]
}

// NewPoller starts to read at once and returns.
func NewPoller[T any](settings PollerSettings[T]) *Poller[T] {
	settings.Interval = cmp.Or(settings.Interval, 15*time.Second)
	settings.Retry = cmp.Or(settings.Retry, time.Second)
	settings.Gap = cmp.Or(settings.Gap, 250*time.Millisecond)
	settings.TTL = cmp.Or(settings.TTL, time.Minute)
	settings.Timeout = cmp.Or(settings.Timeout, 10*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	p := &Poller[T]{
		settings: settings, now: make(chan struct{}, 1), soon: make(chan struct{}, 1), cancel: cancel,
		done:  make(chan struct{}),
		cache: NewCache[T](settings.Subject, settings.Why, settings.TTL),
	}
	go p.run(ctx)
	return p
}

// Close stops reading and waits until a read in progress has ended.
func (p *Poller[T]) Close() error {
	p.cancel()
	<-p.done
	return nil
}

// Trigger asks for a read at once, because the chain has pushed something about this subject.
func (p *Poller[T]) Trigger() { ask(p.now) }

// Nudge asks for a read, but not within Gap of the last, because something on the chain has changed, possibly this
// subject.
func (p *Poller[T]) Nudge() { ask(p.soon) }

// Relaxed returns the interval for a node that needs fewer requests, because it pushes its blocks or only accepts
// transactions: ten times the interval of others, but at most 30 s.
func Relaxed(interval time.Duration, relaxed bool) time.Duration {
	if relaxed {
		return min(10*interval, 30*time.Second)
	}
	return interval
}

func ask(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // asked for already
	}
}

func drop(asked chan struct{}) {
	select {
	case <-asked:
	default:
	}
}

// Latest returns the cached value.
//
// Its errors are those of Cache.Latest.
func (p *Poller[T]) Latest() (T, error) { return p.cache.Latest() }

// Await is like Latest, but in a process that has just started it waits for the chain's first answer.
//
// Its errors are those of Cache.Latest.
func (p *Poller[T]) Await(ctx context.Context) (T, error) { return p.cache.Await(ctx) }

func (p *Poller[T]) run(ctx context.Context) {
	defer close(p.done)
	defer p.cache.Close()
	first := firstRetry
	for {
		drop(p.now) // this read serves whoever has asked so far
		drop(p.soon)
		interval := p.settings.Retry
		switch err := p.fetch(ctx); {
		case err == nil:
			interval, first = p.settings.Interval, p.settings.Retry
		case passes(err):
			interval = min(first, interval)
			first = 2 * interval
		}
		read := time.Now()
		if interval >= 10 {
			interval += rand.N(interval/5) - interval/10
		}
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.now:
		case <-p.soon:
			gap := time.NewTimer(time.Until(read.Add(p.settings.Gap)))
			select {
			case <-ctx.Done():
			case <-p.now:
			case <-gap.C:
			}
			gap.Stop()
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (p *Poller[T]) fetch(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, p.settings.Timeout)
	defer cancel()
	value, err := p.settings.Fetch(bounded)
	if err != nil {
		p.cache.Fail(err)
		return err
	}
	p.cache.Set(value)
	if p.settings.Fetched != nil {
		p.settings.Fetched(value)
	}
	return nil
}
