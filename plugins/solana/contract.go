package solana

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/solana/account"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// steady is how long answers from older slots are ignored: nodes are never quite level. After that the chain itself has
// gone back.
const steady = 10 * time.Second

// contract is one contract for all providers that share it.
type contract struct {
	*service.Publisher
	accounts ocr2.Contract
	ledger   *ledger

	mu     sync.Mutex
	head   part[ocr2.Head]
	round  part[round]
	config *ocr2.State // whose digest was verified
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
	failure error     // of the last read; nil if it was good

	told     <-chan struct{} // closed when it was read for the first time, whatever came of it
	announce func()          // closes told
}

func newPart[T any]() part[T] {
	told := make(chan struct{})
	return part[T]{told: told, announce: sync.OnceFunc(func() { close(told) })}
}

// set takes what was read at a slot, and reports whether it counts.
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

// Nudge implements service.Followed. The ledger reads all contracts at once, at its interval.
func (c *contract) Nudge() {}

// Close implements service.Followed.
func (c *contract) Close() error {
	c.ledger.chain.pushes.Remove(c.accounts.State)
	c.ledger.chain.pushes.Remove(c.accounts.Feed)
	return nil
}

func (c *contract) setHead(slot uint64, head ocr2.Head, err error) {
	if err == nil && head.Feed != c.accounts.Feed {
		err = fmt.Errorf("the contract writes its answers to %s, and the job's transmissionsID is %s; correct the job",
			head.Feed, c.accounts.Feed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head.set(slot, head, err) {
		c.Publish(head.ConfigSlot, head.ConfigDigest)
	}
}

func (c *contract) setRound(slot uint64, header ocr2.FeedHeader, record ocr2.Record, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.set(slot, round{header, record}, err)
}

// has reports whether the newest record that a header points to is known.
func (c *contract) has(header ocr2.FeedHeader) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.round.read.IsZero() && c.round.failure == nil && c.round.value.header == header
}

// confirmRound records that the newest record is still what it was.
func (c *contract) confirmRound(slot uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.set(slot, c.round.value, nil)
}

// State implements service.Contract. It asks only for the State, which is all that a bootstrap job needs.
func (c *contract) State(ctx context.Context) (service.State, error) {
	relayer.Await(ctx, c.head.told)
	c.mu.Lock()
	part := c.head
	c.mu.Unlock()
	head := part.value
	return service.State{
		ConfigBlock: head.ConfigSlot, ConfigDigest: head.ConfigDigest, Epoch: head.Epoch, EpochDigest: head.ConfigDigest,
	}, current(c, part)
}

// Latest implements service.Contract. The time is that of the observations.
func (c *contract) Latest(ctx context.Context) (service.Transmission, error) {
	relayer.Await(ctx, c.head.told, c.round.told)
	c.mu.Lock()
	head, latest := c.head, c.round
	c.mu.Unlock()
	if err := current(c, head); err != nil {
		return service.Transmission{}, err
	}
	if err := current(c, latest); err != nil {
		return service.Transmission{}, err
	}
	transmission := service.Transmission{
		Round:  service.Round{Digest: head.value.ConfigDigest, Epoch: head.value.Epoch, Round: head.value.Round},
		Answer: latest.value.record.Answer, Time: latest.value.record.Time,
	}
	if by := head.value.LatestTransmitter; !by.IsZero() {
		transmission.Transmitter = by.String()
	}
	return transmission, nil
}

// Requested implements service.Contract. A request for a round leaves no trace in the contract's accounts, so none is
// ever known.
func (c *contract) Requested(ctx context.Context, _ time.Duration) (service.Round, error) {
	state, err := c.State(ctx)
	return service.Round{Digest: state.ConfigDigest}, err
}

// Height implements service.Contract.
func (c *contract) Height(ctx context.Context) (uint64, error) {
	pool := c.ledger.chain.Pool()
	if err := pool.Await(ctx); err != nil {
		return 0, err
	}
	if _, err := pool.Best(); err != nil {
		return 0, err
	}
	return pool.Height(), nil
}

// current says why a part cannot be relied on.
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
	return status.Errorf(codes.Unavailable, "the contract %s has not been read yet: %s", c.accounts.State,
		c.ledger.chain.Pool().Why())
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

// verify checks a State's configuration against its digest.
func (c *contract) verify(state ocr2.State) error {
	config, err := state.Config()
	if err != nil {
		return relayer.Said(err.Error())
	}
	if state.ConfigCount > 0 && config.Digest(c.accounts.Program, c.accounts.State) != state.ConfigDigest {
		return relayer.Said(fmt.Sprintf("answers with a configuration of slot %d whose digest is not that of its content",
			state.ConfigSlot))
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
		return ocr2.State{}, status.Errorf(codes.NotFound, "the contract %s has no configuration of slot %d",
			c.accounts.State, slot)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = known
	return *known, nil
}

// Config implements service.Contract.
func (c *contract) Config(ctx context.Context, slot uint64) (*relayerv1.ContractConfig, error) {
	state, err := c.latestConfig(ctx, slot)
	if err != nil {
		return nil, service.AsUnavailable(err)
	}
	config, err := state.Config()
	if err != nil {
		return nil, service.AsUnavailable(err)
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: state.ConfigDigest[:], ConfigCount: uint64(config.Count), F: uint32(config.F),
		OnchainConfig:         config.Onchain,
		OffchainConfigVersion: config.OffchainVersion, OffchainConfig: config.Offchain,
	}
	for _, signer := range config.Signers {
		message.Signers = append(message.Signers, signer[:])
	}
	for _, transmitter := range config.Transmitters {
		message.Transmitters = append(message.Transmitters, transmitter.String())
	}
	return message, nil
}

// DigestPrefix implements service.Contract.
func (c *contract) DigestPrefix() uint32 { return ocr2.DigestPrefix }

// Digest implements service.Contract.
func (c *contract) Digest(in *relayerv1.ContractConfig) ([32]byte, error) {
	switch {
	case in.GetF() > math.MaxUint8:
		return [32]byte{}, fmt.Errorf("config.f: the program holds 8 bits, got %d", in.GetF())
	case in.GetConfigCount() > math.MaxUint32:
		return [32]byte{}, fmt.Errorf("config.config_count: the program holds 32 bits, got %d", in.GetConfigCount())
	case len(in.GetSigners()) != len(in.GetTransmitters()) || len(in.GetSigners()) > ocr2.MaxOracles:
		return [32]byte{}, fmt.Errorf("config: the program holds as many signers as transmitters, and at most %d, got %d "+
			"and %d", ocr2.MaxOracles, len(in.GetSigners()), len(in.GetTransmitters()))
	case len(in.GetOffchainConfig()) > ocr2.MaxOffchainConfig:
		return [32]byte{}, fmt.Errorf("config.offchain_config: the program holds %d bytes, got %d", ocr2.MaxOffchainConfig,
			len(in.GetOffchainConfig()))
	}
	config := ocr2.Config{
		Count: uint32(in.GetConfigCount()), F: uint8(in.GetF()), Onchain: in.GetOnchainConfig(),
		OffchainVersion: in.GetOffchainConfigVersion(), Offchain: in.GetOffchainConfig(),
	}
	for i, signer := range in.GetSigners() {
		if len(signer) != ocr2.SignerLength {
			return [32]byte{}, fmt.Errorf("config.signers[%d]: the program holds %d bytes, got %d", i, ocr2.SignerLength,
				len(signer))
		}
		config.Signers = append(config.Signers, [ocr2.SignerLength]byte(signer))
	}
	for i, text := range in.GetTransmitters() {
		transmitter, err := account.Parse(text)
		if err != nil {
			return [32]byte{}, fmt.Errorf("config.transmitters[%d]: %w", i, err)
		}
		config.Transmitters = append(config.Transmitters, transmitter)
	}
	return config.Digest(c.accounts.Program, c.accounts.State), nil
}
