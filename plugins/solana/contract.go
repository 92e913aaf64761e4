package solana

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// steady is how long answers from older slots are passed over: nodes are never quite level. After that the chain itself has
// gone back.
const steady = 10 * time.Second

// contract is one contract for all providers that share it.
type contract struct {
	accounts ocr2.Contract
	ledger   *ledger

	mu        sync.Mutex
	providers map[string]struct{}
	head      part[ocr2.Head]
	round     part[round]
	config    *ocr2.State // whose digest was verified
}

// round is the newest answer.
type round struct {
	header ocr2.FeedHeader
	record ocr2.Record
}

// part is one account as it was last read.
type part[T any] struct {
	value   T
	slot    uint64
	read    time.Time // zero: never
	failure error     // of what was read last; nil if it was good

	told     <-chan struct{} // closed when it was read for the first time, whatever came of it
	announce func()          // closes told
}

func newPart[T any]() part[T] {
	told := make(chan struct{})
	return part[T]{told: told, announce: sync.OnceFunc(func() { close(told) })}
}

// set takes what was read at a slot and tells whether it counts.
func (p *part[T]) set(slot uint64, value T, err error) bool {
	if slot < p.slot && time.Since(p.read) < steady {
		return false
	}
	p.announce()
	if p.failure = err; err == nil {
		p.value, p.slot, p.read = value, slot, time.Now()
	}
	return err == nil
}

// view is what a contract holds.
type view struct {
	ocr2.Head
	ocr2.Record
}

// Nudge implements service.Followed. The ledger reads all contracts at once, at its interval.
func (c *contract) Nudge() {}

// Close implements service.Followed.
func (c *contract) Close() error { return nil }

// attach tells the hub of the contract's configuration in a provider's name.
func (c *contract) attach(provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.providers[provider] = struct{}{}
	if !c.head.read.IsZero() {
		c.ledger.chain.Hub().Publish(provider, c.head.value.ConfigSlot, c.head.value.ConfigDigest)
	}
}

func (c *contract) detach(provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.providers, provider)
	c.ledger.chain.Hub().Remove(provider)
}

func (c *contract) setHead(slot uint64, head ocr2.Head, err error) {
	if err == nil && head.Feed != c.accounts.Feed {
		err = fmt.Errorf("the contract writes its answers to %s, and the job's transmissionsID is %s; correct the job", head.Feed, c.accounts.Feed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.head.set(slot, head, err) {
		return
	}
	for provider := range c.providers {
		c.ledger.chain.Hub().Publish(provider, head.ConfigSlot, head.ConfigDigest)
	}
}

func (c *contract) setRound(slot uint64, header ocr2.FeedHeader, record ocr2.Record, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.set(slot, round{header, record}, err)
}

// has tells whether the newest record that a header tells of is known.
func (c *contract) has(header ocr2.FeedHeader) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.round.read.IsZero() && c.round.failure == nil && c.round.value.header == header
}

// confirmRound notes that the newest record is still what it was.
func (c *contract) confirmRound(slot uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.set(slot, c.round.value, nil)
}

// latest is what the contract holds, not older than the cache's age limit. The first reading is awaited, as long as ctx allows.
func (c *contract) latest(ctx context.Context) (view, error) {
	relayer.Await(ctx, c.head.told, c.round.told)
	c.mu.Lock()
	head, latest := c.head, c.round
	c.mu.Unlock()
	if err := current(c, head); err != nil {
		return view{}, err
	}
	if err := current(c, latest); err != nil {
		return view{}, err
	}
	return view{head.value, latest.value.record}, nil
}

// latestHead is the same of the State alone, which is all that a bootstrap job asks for.
func (c *contract) latestHead(ctx context.Context) (ocr2.Head, error) {
	relayer.Await(ctx, c.head.told)
	c.mu.Lock()
	head := c.head
	c.mu.Unlock()
	return head.value, current(c, head)
}

// current tells why a part is not to be relied on.
func current[T any](c *contract, p part[T]) error {
	if !p.read.IsZero() && time.Since(p.read) <= c.ledger.ttl {
		return nil
	}
	if p.failure != nil {
		return status.Errorf(codes.Unavailable, "the contract %s: %v", c.accounts.State, p.failure)
	}
	if _, err := c.ledger.poller.Latest(); err != nil {
		return err
	}
	return status.Errorf(codes.Unavailable, "the contract %s has not been read yet: %s", c.accounts.State, c.ledger.chain.Pool().Why())
}

// keep remembers a State that was pushed, if it is what it claims to be.
func (c *contract) keep(state ocr2.State) {
	if c.verify(state) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = &state
}

// verify holds a State's configuration against its digest.
func (c *contract) verify(state ocr2.State) error {
	config, err := state.Config()
	if err != nil {
		return relayer.Said(err.Error())
	}
	if state.ConfigCount > 0 && config.Digest(c.accounts.Program, c.accounts.State) != state.ConfigDigest {
		return relayer.Said(fmt.Sprintf("answers with a configuration of slot %d whose digest is not that of its content", state.ConfigSlot))
	}
	return nil
}

// latestConfig is the configuration that was accepted in a slot. It never changes, so the last one is kept.
func (c *contract) latestConfig(ctx context.Context, slot uint64) (ocr2.State, error) {
	c.mu.Lock()
	known := c.config
	c.mu.Unlock()
	if known == nil || known.ConfigSlot != slot || known.ConfigCount == 0 {
		state, err := c.ledger.state(ctx, c, slot)
		if err != nil {
			return ocr2.State{}, err
		}
		known = &state
	}
	if known.ConfigCount == 0 || known.ConfigSlot != slot {
		return ocr2.State{}, status.Errorf(codes.NotFound, "the contract %s has no configuration of slot %d", c.accounts.State, slot)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = known
	return *known, nil
}
