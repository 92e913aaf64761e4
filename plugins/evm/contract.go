package evm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	gethtypes "github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/plugins/evm/endpoint"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

const (
	// steady is how long answers from blocks that are a little older may go on: load balancers put nodes behind one
	// address that are not quite level.
	steady = 10 * time.Second
	// renewal is how often a contract is read if no event tells anything new of it, give or take a tenth: a node may have
	// lost an event.
	renewal = 5 * time.Minute
)

// contract follows one aggregator for all providers that share it.
type contract struct {
	*service.Polled[*endpoint.Client]
	address common.Address
	events  *events
	found   chan struct{} // closed when requests were looked for once, whatever came of it
	look    func()        // closes found

	mu      sync.Mutex
	scanned uint64 // the block up to which requests were looked for
	renewed time.Duration
	request *request
}

// request is a RoundRequested event.
type request struct {
	aggregator.RoundRequested
	block uint64
	index uint
	at    time.Time
}

// after reports whether a request came after another; nil is before all.
func (r *request) after(other *request) bool {
	return other == nil || r.block > other.block || r.block == other.block && r.index > other.index
}

// follow begins to read a contract.
func (chain *Chain) follow(address common.Address) *contract {
	digester := evmutil.EVMOffchainConfigDigester{ChainID: chain.id.Uint64(), ContractAddress: address}
	found := make(chan struct{})
	c := &contract{
		address: address, events: chain.events, found: found, look: sync.OnceFunc(func() { close(found) }),
		renewed: renewal - renewal/10 + rand.N(renewal/5),
	}
	chain.pushed.Add(address)
	c.Polled = chain.reader.Follow(address, service.PolledSettings[*endpoint.Client]{
		Address: address.Hex(), Hub: chain.Hub(), Steady: steady,
		Config: func(ctx context.Context, client *endpoint.Client, block uint64) (*relayerv1.ContractConfig, error) {
			return configSet(ctx, client, address, block)
		},
		Digest:       func(config *relayerv1.ContractConfig) ([32]byte, error) { return digest(digester, config) },
		DigestPrefix: uint32(types.ConfigDigestPrefixEVMSimple),
	})
	return c
}

// Close ends all reading.
func (c *contract) Close() error {
	c.events.chain.pushed.Remove(c.address)
	c.look()
	return c.Polled.Close()
}

// Config implements service.Contract. On chains where the block was searched for, one without a configuration may have
// been a node's mistake, and it is searched for again.
func (c *contract) Config(ctx context.Context, block uint64) (*relayerv1.ContractConfig, error) {
	config, err := c.Polled.Config(ctx, block)
	if status.Code(err) == codes.NotFound && c.events.chain.nitro.forget(c.address, block) {
		c.Doubt()
		c.Trigger()
	}
	return config, err
}

// readContracts reads the views of contracts at one node. A batch may be several requests, between which a block comes:
// what is read belongs to the block of the first or to a later one.
//
// Contracts are asked one by one and not through a contract that gathers calls: latestTransmissionDetails answers only
// accounts without code.
func (chain *Chain) readContracts(
	ctx context.Context, client *endpoint.Client, contracts []common.Address,
) ([]service.Reading, error) {
	var head endpoint.Head
	details, transmissions := make([]hexutil.Bytes, len(contracts)), make([]hexutil.Bytes, len(contracts))
	calls := []rpc.BatchElem{endpoint.LatestBlock(&head)}
	for i, address := range contracts {
		calls = append(calls, aggregator.ConfigDetailsCall(address, &details[i]),
			aggregator.TransmissionDetailsCall(address, &transmissions[i]))
	}
	if err := client.Every(ctx, calls); err != nil {
		return nil, err
	}
	if calls[0].Error != nil {
		return nil, calls[0].Error
	}
	readings := make([]service.Reading, len(contracts))
	for i := range contracts {
		readings[i].View, readings[i].Err = view(calls[1+2*i:3+2*i], head, details[i], transmissions[i])
	}
	if head.Parent != nil {
		chain.nitro.translate(ctx, contracts, readings, head)
	}
	return readings, nil
}

// view is what a contract answered to both calls. The contract's own latestConfigDigestAndEpoch tells nothing else.
func view(calls []rpc.BatchElem, head endpoint.Head, details, transmission hexutil.Bytes) (service.View, error) {
	for _, call := range calls {
		if call.Error != nil {
			return service.View{}, call.Error
		}
	}
	config, err := aggregator.ParseConfigDetails(details)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	latest, err := aggregator.ParseTransmissionDetails(transmission)
	if err != nil {
		return service.View{}, relayer.Answered(err)
	}
	return service.View{
		State: service.State{
			ConfigBlock: config.Block, ConfigDigest: config.Digest, Epoch: latest.Epoch, EpochDigest: latest.Digest,
		},
		Transmission: service.Transmission{
			Round:  service.Round{Digest: latest.Digest, Epoch: latest.Epoch, Round: latest.Round},
			Answer: latest.Answer, Time: latest.Time,
		},
		Block: head.Number, Time: head.Time,
	}, nil
}

// due reports whether the contract itself has to be read: it never was, or could not be, or not since events differed
// from what was read, or not for long.
func (c *contract) due() bool {
	viewed := c.Viewed()
	return viewed.IsZero() || !c.Doubted().IsZero() || time.Since(viewed) > c.renewed
}

// note records a request unless a newer one is known.
func (c *contract) note(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.after(c.request) {
		c.request = r
	}
}

// Requested implements service.Contract. After the start it waits once for what was not looked for yet.
func (c *contract) Requested(ctx context.Context, lookback time.Duration) (service.Round, error) {
	v, err := c.View(ctx)
	if err != nil {
		return service.Round{}, err
	}
	relayer.Await(ctx, c.found)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.request; r != nil && v.Time.Sub(r.at) <= lookback {
		return service.Round{Digest: r.Digest, Epoch: r.Epoch, Round: r.Round}, nil
	}
	return service.Round{}, nil
}

func requestOf(log gethtypes.Log) (*request, error) {
	event, err := aggregator.ParseRoundRequested(log)
	if err != nil {
		return nil, err
	}
	return &request{
		RoundRequested: event, block: log.BlockNumber, index: log.Index, at: time.Unix(int64(log.BlockTimestamp), 0),
	}, nil
}

// begin is the first block, from the given one on, in which requests were not looked for.
func (c *contract) begin(first uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.scanned+1, first)
}

// reach records up to which block requests were looked for.
func (c *contract) reach(block uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scanned = max(c.scanned, block)
}

// follows takes the contract's events of some blocks, of which head may be the newest: they are all that changed.
func (c *contract) follows(logs []gethtypes.Log, from, reached uint64, head endpoint.Head) {
	c.mu.Lock()
	if c.scanned+1 >= from {
		c.scanned = max(c.scanned, reached)
	}
	c.mu.Unlock()
	c.Amend(func(v *service.View) bool {
		if v.Block+1 < from {
			return false // what came in between was not seen
		}
		sure := true
		for _, log := range logs {
			sure = c.apply(v, log, head) && sure
		}
		if v.Block = max(v.Block, reached); v.Block == head.Number {
			v.Time = head.Time
		}
		return sure
	})
}

// apply changes a view by an event, if the view does not hold it yet, and reports whether that could be done. Under one
// configuration the contract accepts no report that is older than the last.
func (c *contract) apply(v *service.View, log gethtypes.Log, head endpoint.Head) bool {
	switch log.Topics[0] {
	case aggregator.RoundRequestedTopic():
		r, err := requestOf(log)
		if err == nil {
			c.note(r)
		}
		return err == nil
	case aggregator.ConfigSetTopic():
		if config, err := aggregator.ParseConfigSet(log); err == nil {
			c.events.chain.nitro.note(setting{c.address, config.ConfigDigest}, log.BlockNumber)
		}
		return log.BlockNumber <= v.ConfigBlock
	}
	event, err := aggregator.ParseNewTransmission(log)
	at := time.Unix(int64(log.BlockTimestamp), 0).UTC()
	if log.BlockTimestamp == 0 && log.BlockNumber == head.Number {
		at = head.Time
	}
	known := v.Transmission.Round
	switch {
	case err != nil:
		return false
	case event.Digest != v.ConfigDigest:
		return log.BlockNumber <= v.ConfigBlock
	case event.Epoch == known.Epoch && event.Round == known.Round:
		v.Transmission.Transmitter = event.Transmitter.Hex() // which the contract's view does not tell
		return true
	case event.Epoch < known.Epoch, event.Epoch == known.Epoch && event.Round < known.Round:
		return true
	case at.Unix() == 0:
		return false
	}
	v.Epoch = event.Epoch
	v.Transmission = service.Transmission{
		Round:  service.Round{Digest: event.Digest, Epoch: event.Epoch, Round: event.Round},
		Answer: event.Answer, Time: at, Transmitter: event.Transmitter.Hex(),
	}
	return true
}

func (c *contract) doubtedSince(when time.Time) bool { return !c.Doubted().Before(when) }

// configSet reads the configuration that was set in a block.
func configSet(ctx context.Context, client *endpoint.Client, address common.Address,
	block uint64) (*relayerv1.ContractConfig, error) {
	logs, _, err := client.Logs(ctx, endpoint.Filter{
		Contracts: []common.Address{address}, Topics: []common.Hash{aggregator.ConfigSetTopic()},
	}, block, block)
	if err != nil || len(logs) == 0 {
		return nil, err
	}
	config, err := aggregator.ParseConfigSet(logs[len(logs)-1])
	if err != nil {
		return nil, relayer.Said(err.Error())
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: config.ConfigDigest[:], ConfigCount: config.ConfigCount, F: uint32(config.F),
		OnchainConfig:         config.OnchainConfig,
		OffchainConfigVersion: config.OffchainConfigVersion, OffchainConfig: config.OffchainConfig,
	}
	for _, signer := range config.Signers {
		message.Signers = append(message.Signers, signer)
	}
	for _, transmitter := range config.Transmitters {
		message.Transmitters = append(message.Transmitters, string(transmitter))
	}
	return message, nil
}

// digest computes a configuration's digest as the contract does.
func digest(digester evmutil.EVMOffchainConfigDigester, in *relayerv1.ContractConfig) ([32]byte, error) {
	f, err := service.NarrowF(in)
	if err != nil {
		return [32]byte{}, err
	}
	config := types.ContractConfig{
		ConfigCount: in.GetConfigCount(), F: f, OnchainConfig: in.GetOnchainConfig(),
		OffchainConfigVersion: in.GetOffchainConfigVersion(), OffchainConfig: in.GetOffchainConfig(),
	}
	for _, signer := range in.GetSigners() {
		config.Signers = append(config.Signers, signer)
	}
	for _, transmitter := range in.GetTransmitters() {
		config.Transmitters = append(config.Transmitters, types.Account(transmitter))
	}
	of, err := digester.ConfigDigest(context.Background(), config)
	if err != nil {
		return [32]byte{}, fmt.Errorf("config: %w", err)
	}
	return of, nil
}
