// Package chain is a model in Go of a Starknet network: blocks, accounts that check their signatures, the fee token,
// and OCR2 aggregators, changed by invoke transactions of version 3 that are checked as a sequencer checks them.
//
// It is not Cairo: accounts, token and aggregators do what their contracts do without their code, and gas is a made-up
// number that grows with what is sent. Golden numbers of starknet.js hold its hashes and signatures to Starknet's.
//
// It must not know how nodes serve it, nor oracles.
package chain

import (
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
)

// DefaultChainID is the network's name where Settings give none.
const DefaultChainID = "LOOP_DEVNET"

// defaultBlockTime is the time between blocks where Settings give none.
const defaultBlockTime = time.Second

// Prices are the prices of a unit of each resource in FRI.
type Prices struct{ L1, L2, L1Data *big.Int }

// Settings say which network to make. What is zero is chosen.
type Settings struct {
	// ChainID is the network's name; empty: DefaultChainID.
	ChainID string
	// BlockTime is the time between blocks. 0 means a second, and a negative time means that only MakeBlock makes
	// blocks.
	BlockTime time.Duration
	// L1After is after how many more blocks a block counts as accepted on L1; 0: never.
	L1After uint64
	// MempoolTTL is how long a transaction may be out of blocks before the sequencer drops it; 0: a minute.
	MempoolTTL time.Duration
}

// Chain is a network. Close ends its blocks.
type Chain struct {
	settings Settings
	id       stark.Felt
	owner    Account
	sending  sync.Mutex // of the transactions that Send makes one follows the other

	mu           sync.Mutex
	blocks       []*block // complete ones
	pending      *block   // that is being made, whatever versions call it
	state        *state   // after its transactions
	transactions map[stark.Felt]*transaction
	prices       Prices
	mempool      []*transaction // taken, but not in a block yet
	held         bool
	reverting    int // so many more transmissions are reverted
	reason       string
	salt         uint64 // of the next aggregator

	stop   chan struct{}
	ticker sync.WaitGroup
	once   sync.Once
}

// New makes a network with one complete block, and an account that owns its aggregators.
func New(settings Settings) (*Chain, error) {
	if settings.ChainID == "" {
		settings.ChainID = DefaultChainID
	}
	if settings.BlockTime == 0 {
		settings.BlockTime = defaultBlockTime
	}
	if settings.MempoolTTL == 0 {
		settings.MempoolTTL = defaultMempoolTTL
	}
	id, err := stark.ShortString(settings.ChainID)
	if err != nil {
		return nil, fmt.Errorf("make the network %q: %w", settings.ChainID, err)
	}
	c := &Chain{
		settings: settings, id: id, state: newState(), transactions: map[stark.Felt]*transaction{}, stop: make(chan struct{}),
		// Near to those of the public networks, and each another number, so that one taken for another shows.
		prices: Prices{L1: big.NewInt(30_000_000_000_001), L2: big.NewInt(9_000_000_002), L1Data: big.NewInt(40_000_003)},
	}
	c.open()
	if c.owner, err = NewAccount(); err != nil {
		return nil, err
	}
	c.DeployAccount(c.owner.Key.Public(), strk(1_000_000))
	c.MakeBlock()
	if settings.BlockTime > 0 {
		c.ticker.Go(c.tick)
	}
	return c, nil
}

func (c *Chain) tick() {
	ticker := time.NewTicker(c.settings.BlockTime)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
			c.MakeBlock()
		}
	}
}

// Close ends the making of blocks.
func (c *Chain) Close() {
	c.once.Do(func() { close(c.stop) })
	c.ticker.Wait()
}

// ID is the network's name as a felt.
func (c *Chain) ID() stark.Felt { return c.id }

// Name is the network's name.
func (c *Chain) Name() string { return c.settings.ChainID }

// Owner is the account that owns the aggregators.
func (c *Chain) Owner() Account { return c.owner }

// strk is an amount of the fee token in FRI.
func strk(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(1_000_000_000_000_000_000))
}

// DeployAccount makes the account of a public key, if there is none yet, gives it an amount in FRI, and returns its
// address.
func (c *Chain) DeployAccount(public stark.Felt, amount *big.Int) stark.Felt {
	c.mu.Lock()
	defer c.mu.Unlock()
	address := AccountAddress(public)
	if _, ok := c.state.accounts[address]; !ok {
		c.state.accounts[address] = account{public: public}
	}
	c.state.add(address, amount)
	return address
}

// Fund gives an amount in FRI to an address.
func (c *Chain) Fund(address stark.Felt, amount *big.Int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.add(address, amount)
}

// DeployAggregator makes an aggregator that the owner configures, and returns its address. Chain, address and owner are
// the network's to say.
func (c *Chain) DeployAggregator(settings aggregator.Settings) (stark.Felt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	address := contractAddress(stark.FromUint64(c.salt), AggregatorClass(), stark.PedersenArray(stark.FromUint64(c.salt)))
	settings.ChainID, settings.Address, settings.Owner = c.id, address, c.owner.Address
	made, err := aggregator.New(settings)
	if err != nil {
		return stark.Felt{}, fmt.Errorf("deploy an aggregator: %w", err)
	}
	c.salt++
	c.state.aggregators[address] = made
	return address, nil
}

// PushNonce moves an account's nonce ahead, as if somebody else had used its key for so many transactions without
// effect.
func (c *Chain) PushNonce(address stark.Felt, by uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.state.accounts[address]
	if !ok {
		return fmt.Errorf("push the nonce of %s: there is no such account", address)
	}
	a.nonce += by
	c.state.accounts[address] = a
	c.flow()
	return nil
}

// RevertTransmissions reverts the next transmissions for a reason of at most 31 characters, though estimates say that
// they will succeed.
func (c *Chain) RevertTransmissions(n int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reverting, c.reason = n, reason
}

// Hold keeps transactions out of blocks: they are taken and nothing more until Hold is called with false.
func (c *Chain) Hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.flow()
}

// SetPrices sets the prices of blocks from the one on that is being made.
func (c *Chain) SetPrices(prices Prices) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prices = prices
	c.pending.prices = prices
}
