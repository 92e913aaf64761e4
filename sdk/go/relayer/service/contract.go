package service

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// backstep is by how many blocks an answer may be older than the one before and still be ignored: load balancers put
// nodes that are not quite level behind one address. If such answers go on for PolledSettings.Steady, the chain itself
// has gone back.
const backstep = 5

// Round is a logical time of OCR2.
type Round struct {
	Digest [32]byte
	Epoch  uint32
	Round  uint8
}

// Transmission is the newest answer that a contract holds.
type Transmission struct {
	Round
	Answer *big.Int
	Time   time.Time
	// Transmitter is the account that sent it; empty if the contract does not tell, as in most views.
	Transmitter string
}

// State is a contract's configuration and its progress under it.
type State struct {
	// ConfigBlock is the block in which the configuration was set, and ConfigDigest its digest.
	ConfigBlock  uint64
	ConfigDigest [32]byte
	// Epoch is the epoch of the newest report, under the configuration of EpochDigest.
	Epoch       uint32
	EpochDigest [32]byte
}

// Contract is what providers need from their contract. The methods with a context answer from a cache. In a relayer
// that has just started they wait for the chain's first answer, as relayer.Await does. Their errors are statuses.
type Contract interface {
	// State and Latest are called for each round of each job.
	State(ctx context.Context) (State, error)
	Latest(ctx context.Context) (Transmission, error)
	// Requested returns the newest round that somebody asked for on the chain within lookback; zero if there is none.
	Requested(ctx context.Context, lookback time.Duration) (Round, error)
	// Height returns the newest block. The host counts confirmations of a configuration by it.
	Height(ctx context.Context) (uint64, error)
	// Config returns the configuration that was set in a block; NOT_FOUND if none was.
	Config(ctx context.Context, block uint64) (*relayerv1.ContractConfig, error)
	// Digest computes a configuration's digest as the contract does. Its errors name the field.
	Digest(config *relayerv1.ContractConfig) ([32]byte, error)
	// DigestPrefix returns the first two bytes of digests.
	DigestPrefix() uint32
	// Attach tells the hub about the configuration under a provider's name, until Detach.
	Attach(provider string)
	Detach(provider string)
}

// Publisher tells a hub about a contract's configuration under the names of all providers that share the contract.
type Publisher struct {
	hub *relayer.Hub

	mu        sync.Mutex
	providers map[string]struct{}
	known     bool
	block     uint64
	digest    [32]byte
}

// NewPublisher makes a Publisher that has no configuration yet.
func NewPublisher(hub *relayer.Hub) *Publisher {
	return &Publisher{hub: hub, providers: map[string]struct{}{}}
}

// Attach implements Contract.
func (p *Publisher) Attach(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.providers[provider] = struct{}{}
	if p.known {
		p.hub.Publish(provider, p.block, p.digest)
	}
}

// Detach implements Contract.
func (p *Publisher) Detach(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.providers, provider)
	p.hub.Remove(provider)
}

// Publish tells the hub about the newest configuration.
func (p *Publisher) Publish(block uint64, digest [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.block, p.digest = true, block, digest
	for provider := range p.providers {
		p.hub.Publish(provider, block, digest)
	}
}

// View is a contract's state at one block.
type View struct {
	State
	Transmission Transmission
	// Block at which it was read, and its time.
	Block uint64
	Time  time.Time

	read time.Time
}

// Standing returns the part of the view that decides which reports the contract still accepts.
func (v View) Standing() *relayer.Standing {
	t := v.Transmission
	return &relayer.Standing{Config: v.ConfigDigest, Digest: t.Digest, Epoch: t.Epoch, Round: t.Round.Round}
}

// PolledSettings configure a Polled contract: C is the client of an endpoint.
type PolledSettings[C any] struct {
	// Address as the chain writes it.
	Address string
	// Pool is the pool of the Reader, if there is one.
	Pool *relayer.Pool[C]
	Hub  *relayer.Hub
	// Poller says how often the contract is read, if no Reader reads it. Polled sets Subject, Fetch, Fetched and Why.
	Poller relayer.PollerSettings[View]
	// Steady is for how long answers from slightly older blocks are ignored.
	Steady time.Duration
	// Read reads a whole View from one node, if no Reader does. It marks an error with relayer.Answered if other nodes
	// would give the same answer.
	Read func(ctx context.Context, client C) (View, error)
	// Config reads from one node the configuration that was set in a block; nil if the node knows none.
	Config func(ctx context.Context, client C, block uint64) (*relayerv1.ContractConfig, error)
	// Digest implements Contract.Digest.
	Digest func(config *relayerv1.ContractConfig) ([32]byte, error)
	// DigestPrefix implements Contract.DigestPrefix.
	DigestPrefix uint32
}

// Polled is a contract that is read as a whole again and again. A relayer embeds it, and overrides what differs in its
// contracts: Requested, if somebody can ask for rounds, and Height, if blocks are newer than the view.
type Polled[C any] struct {
	*Publisher
	settings       PolledSettings[C]
	cache          *relayer.Cache[View]
	nudge, trigger func()
	leave          func() error

	mu       sync.Mutex
	latest   *View     // that was last read, with what came to be known since
	viewed   time.Time // when the reading of it began; zero: there was none, or the last one failed
	doubted  time.Time // when it came to be in doubt; zero: it is not
	config   *relayerv1.ContractConfig
	configAt uint64
}

// NewPolled begins to read a contract by itself.
func NewPolled[C any](settings PolledSettings[C]) *Polled[C] {
	of := settings.Poller
	reader := NewReader(ReaderSettings[C, string]{
		Pool: settings.Pool,
		Poller: relayer.PollerSettings[struct{}]{
			Interval: of.Interval, Retry: of.Retry, Gap: of.Gap, TTL: of.TTL, Timeout: of.Timeout,
		},
		Read: func(ctx context.Context, client C, _ []string) ([]Reading, error) {
			v, err := settings.Read(ctx, client)
			return []Reading{{v, err}}, nil
		},
	})
	p := reader.Follow(settings.Address, settings)
	p.leave = reader.Close
	return p
}

func newPolled[C any](settings PolledSettings[C], pool *relayer.Pool[C], ttl time.Duration) *Polled[C] {
	settings.Pool = pool
	return &Polled[C]{
		Publisher: NewPublisher(settings.Hub), settings: settings,
		cache: relayer.NewCache[View]("the contract "+settings.Address, pool.Why, cmp.Or(ttl, time.Minute)),
	}
}

// Nudge implements Followed.
func (p *Polled[C]) Nudge() { p.nudge() }

// Trigger reads the contract at once, because it has news.
func (p *Polled[C]) Trigger() { p.trigger() }

// Close implements Followed.
func (p *Polled[C]) Close() error {
	err := p.leave()
	p.cache.Close()
	return err
}

// View returns the latest state of the contract.
func (p *Polled[C]) View(ctx context.Context) (View, error) { return p.cache.Await(ctx) }

// Viewed returns when the latest read of the contract began, if it succeeded; zero if there was none, or it failed.
func (p *Polled[C]) Viewed() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.viewed
}

// Amend changes the view by facts that are known without reading the contract, and so confirms it as of now, unless the
// view is in doubt, or change says that it is. It does nothing before the first read.
func (p *Polled[C]) Amend(change func(v *View) (sure bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest == nil {
		return
	}
	v := *p.latest
	if !change(&v) {
		p.doubted = time.Now()
	}
	if p.doubted.IsZero() {
		p.setLocked(v)
	} else {
		p.latest = &v
	}
}

// Doubt says that the contract may have changed in a way that the view does not show. Until it is read again, nothing
// confirms the view, and callers get it only within its TTL.
func (p *Polled[C]) Doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = time.Now()
}

// Doubted returns since when the view is in doubt; zero if it is not.
func (p *Polled[C]) Doubted() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubted
}

// take takes the contract's answer to a reading, and when that reading began.
func (p *Polled[C]) take(r Reading, began time.Time) {
	if r.Err != nil {
		p.fail(r.Err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.latest; old != nil && r.View.Block < old.Block && old.Block-r.View.Block <= backstep &&
		time.Since(old.read) < p.settings.Steady {
		if p.doubted.IsZero() {
			p.cache.Set(*old)
		}
		return
	}
	p.viewed = began
	if began.After(p.doubted) {
		p.doubted = time.Time{}
	}
	if old := p.latest; old != nil && r.View.Transmission.Transmitter == "" &&
		r.View.Transmission.Round == old.Transmission.Round {
		r.View.Transmission.Transmitter = old.Transmission.Transmitter // it is known from an event
	}
	p.setLocked(r.View)
}

func (p *Polled[C]) setLocked(v View) {
	v.read = time.Now()
	p.latest = &v
	p.Publish(v.ConfigBlock, v.ConfigDigest)
	p.cache.Set(v)
}

// fail takes the reason why a reading failed.
func (p *Polled[C]) fail(err error) {
	p.mu.Lock()
	p.viewed = time.Time{}
	p.mu.Unlock()
	p.cache.Fail(err)
}

// State implements Contract.
func (p *Polled[C]) State(ctx context.Context) (State, error) {
	v, err := p.View(ctx)
	return v.State, err
}

// Latest implements Contract.
func (p *Polled[C]) Latest(ctx context.Context) (Transmission, error) {
	v, err := p.View(ctx)
	return v.Transmission, err
}

// Requested implements Contract for contracts without requests for rounds.
func (p *Polled[C]) Requested(context.Context, time.Duration) (Round, error) { return Round{}, nil }

// Height implements Contract.
func (p *Polled[C]) Height(ctx context.Context) (uint64, error) {
	v, err := p.View(ctx)
	return v.Block, err
}

// DigestPrefix implements Contract.
func (p *Polled[C]) DigestPrefix() uint32 { return p.settings.DigestPrefix }

// Digest implements Contract.
func (p *Polled[C]) Digest(config *relayerv1.ContractConfig) ([32]byte, error) {
	return p.settings.Digest(config)
}

// Forget makes the next request for a configuration read the chain again, if the cached one is of that block or a later
// one.
func (p *Polled[C]) Forget(from uint64) {
	p.mu.Lock()
	if p.configAt >= from {
		p.config = nil
	}
	p.mu.Unlock()
	p.Trigger()
}

// Config implements Contract. A configuration never changes, so the last one is cached.
func (p *Polled[C]) Config(ctx context.Context, block uint64) (*relayerv1.ContractConfig, error) {
	p.mu.Lock()
	config, at := p.config, p.configAt
	p.mu.Unlock()
	if config != nil && at == block {
		return proto.CloneOf(config), nil
	}
	missing := false
	err := p.settings.Pool.Do(ctx, func(ctx context.Context, client C) (err error) {
		config, err = p.settings.Config(ctx, client, block)
		switch { // nodes differ in how long they keep events
		case relayer.IsAnswered(err):
			return relayer.Unserved(relayer.Said(relayer.Reason(err)))
		case err != nil:
			return err
		case config == nil:
			missing = true
			return relayer.Unserved(relayer.Said("has none there"))
		}
		digest, err := p.Digest(config)
		if err != nil || digest != [32]byte(config.GetConfigDigest()) {
			return relayer.Said(fmt.Sprintf("answers with a configuration of block %d whose digest is not that of its content",
				block))
		}
		return nil
	})
	switch {
	case err != nil && missing && ctx.Err() == nil:
		return nil, status.Errorf(codes.NotFound, "no node knows a configuration of the contract %s in block %d: %s",
			p.settings.Address, block, status.Convert(err).Message())
	case err != nil:
		return nil, AsUnavailable(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config, p.configAt = config, block
	return proto.CloneOf(config), nil
}

// NarrowF reads a configuration's f, which has 8 bits in contracts.
func NarrowF(config *relayerv1.ContractConfig) (uint8, error) {
	if f := config.GetF(); f > 255 {
		return 0, fmt.Errorf("config.f: the contract holds 8 bits, got %d", f)
	}
	return uint8(config.GetF()), nil
}
