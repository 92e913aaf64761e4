package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"runtime/debug"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
)

const (
	// refreshTimeout bounds one refresh of the cached price, as on established nodes.
	refreshTimeout = 10 * time.Second
	// priceTimeout bounds the reading and the writing of the price that is kept.
	priceTimeout = 2 * time.Second
)

// priceStore keeps a job's price across restarts. *database.Database is one.
type priceStore interface {
	JuelsPerFeeCoin(ctx context.Context, jobID int64) (database.JuelsPerFeeCoin, error)
	PutJuelsPerFeeCoin(ctx context.Context, jobID int64, price database.JuelsPerFeeCoin) error
}

// cacheSettings are what a cache of the fee coin's price needs.
type cacheSettings struct {
	observe   func(context.Context) (*big.Int, error)
	store     priceStore
	jobID     int64
	interval  time.Duration // between refreshes
	staleness time.Duration // age above which a price that is used is logged as an error
	logger    *slog.Logger
}

// cache keeps the fee coin's price between observations: the price moves slowly, and is not worth a request to the
// adapters in each round. The cache refreshes it at once and then at its interval.
type cache struct {
	cacheSettings
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	price  database.JuelsPerFeeCoin // Amount is nil while none is in memory
	err    error                    // of the last refresh
	flight chan struct{}            // closed at the end of the refresh under way; nil: none is
}

// newCache starts refreshing. close ends it; nobody may call get by then.
func newCache(s cacheSettings) *cache {
	c := &cache{cacheSettings: s}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.refresh() // before the first observation can ask for it
	c.work.Go(c.run)
	return c
}

func (c *cache) close() {
	c.cancel()
	c.work.Wait()
}

func (c *cache) run() {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.refresh()
		case <-c.ctx.Done():
			return
		}
	}
}

// get returns the price. If the last refresh failed it first tries another, once and in no more than half of the time
// that ctx has; then the old price serves, from memory or else from the database, whatever its age.
func (c *cache) get(ctx context.Context) (*big.Int, error) {
	c.mu.Lock()
	price, err := c.price, c.err
	c.mu.Unlock()
	if price.Amount != nil && err == nil {
		return price.Amount, nil
	}
	wait, cancel := ctx, context.CancelFunc(func() {})
	if deadline, ok := ctx.Deadline(); ok {
		wait, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	defer cancel()
	select {
	case <-c.refresh():
	case <-wait.Done():
	}
	c.mu.Lock()
	price, err = c.price, c.err
	c.mu.Unlock()
	if price.Amount == nil {
		if price, err = c.kept(ctx, err); err != nil {
			return nil, err
		}
	}
	c.age(price, err)
	return price.Amount, nil
}

// kept is the price in the database.
func (c *cache) kept(ctx context.Context, cause error) (database.JuelsPerFeeCoin, error) {
	if cause == nil {
		cause = errors.New("its first refresh has not ended")
	}
	ctx, cancel := context.WithTimeout(ctx, priceTimeout)
	defer cancel()
	price, err := c.store.JuelsPerFeeCoin(ctx, c.jobID)
	switch {
	case err == nil:
		return price, nil
	case errors.Is(err, database.ErrNotFound):
		return price, fmt.Errorf("there is no price of the fee coin yet: %w", cause)
	default:
		return price, fmt.Errorf("there is no price of the fee coin (%w), and the kept one cannot be read: %w", cause, err)
	}
}

// age logs the use of a price that should have been replaced, louder with its age.
func (c *cache) age(price database.JuelsPerFeeCoin, err error) {
	age := time.Since(price.Time)
	level := slog.LevelWarn
	switch {
	case age > c.staleness:
		level = slog.LevelError
	case err == nil:
		return
	}
	c.logger.Log(context.Background(), level, "a stale price of the fee coin is used", "age", age.Round(time.Second),
		"threshold", c.staleness, "error", err)
}

// refresh begins a refresh, or joins the one under way, and returns the channel that closes at its end.
func (c *cache) refresh() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight != nil {
		return c.flight
	}
	done := make(chan struct{})
	c.flight = done
	c.work.Go(func() {
		price, err := c.fetch()
		c.mu.Lock()
		if c.err = err; err == nil {
			c.price = price
		}
		c.flight = nil
		close(done)
		c.mu.Unlock()
		if err == nil {
			c.keep(price)
		} else if c.ctx.Err() == nil {
			c.logger.Warn("the price of the fee coin could not be read", "error", err)
		}
	})
	return done
}

func (c *cache) fetch() (price database.JuelsPerFeeCoin, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.logger.Error("the source of the fee coin's price panicked", "panic", fault, "stack", string(debug.Stack()))
			err = fmt.Errorf("the source panicked: %.256s", fmt.Sprint(fault))
		}
	}()
	ctx, cancel := context.WithTimeout(c.ctx, refreshTimeout)
	defer cancel()
	amount, err := c.observe(ctx)
	if err != nil {
		return price, err
	}
	return database.JuelsPerFeeCoin{Amount: amount, Time: time.Now()}, nil
}

// keep stores a price for the next start, even if the job is ending: close waits for it.
func (c *cache) keep(price database.JuelsPerFeeCoin) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), priceTimeout)
	defer cancel()
	if err := c.store.PutJuelsPerFeeCoin(ctx, c.jobID, price); err != nil {
		c.logger.Warn("the price of the fee coin could not be stored", "error", err)
	}
}
