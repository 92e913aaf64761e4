// Package chain is the Ethereum chain of a local network: go-ethereum inside this process with JSON-RPC over HTTP and
// WebSocket on loopback, and on it the OCR2Aggregator that the oracles write to.
//
// It must not know of nodes, jobs or prices: it takes public keys and gives transmissions.
package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// ID is the chain's id. go-ethereum's development genesis fixes it.
const ID = 1337

// blockGasLimit holds the largest transaction of a network, the aggregator's deployment at 5.0M gas, several times over.
const blockGasLimit = 60_000_000

// Chain is a running chain with one rich account, its owner.
//
// The pieces are those of go-ethereum's ethclient/simulated, put together here because that package panics when it cannot
// listen and keeps the node to itself, so that nobody learns which ports it was given.
type Chain struct {
	stack  *node.Node
	eth    *eth.Ethereum
	beacon *catalyst.SimulatedBeacon
	client *ethclient.Client
	owner  *bind.TransactOpts

	sealing sync.Mutex // the beacon takes one block at a time
	stop    context.CancelFunc
	miner   sync.WaitGroup
}

// Start starts a chain on free ports of 127.0.0.1. Close ends it.
func Start() (*Chain, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of the chain's owner: %w", err)
	}
	owner, err := bind.NewKeyedTransactorWithChainID(key, big.NewInt(ID))
	if err != nil {
		return nil, fmt.Errorf("make the signer of the chain's owner: %w", err)
	}
	stack, err := node.New(nodeConfig())
	if err != nil {
		return nil, fmt.Errorf("start the embedded go-ethereum: %w", err)
	}
	c := &Chain{stack: stack, owner: owner}
	if err := c.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded go-ethereum on 127.0.0.1: %w", err), stack.Close())
	}
	return c, nil
}

func nodeConfig() *node.Config {
	modules := []string{"eth", "net", "web3", "txpool"}
	config := node.DefaultConfig
	config.DataDir = "" // in memory
	config.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	config.IPCPath = ""
	// One port for both: a WebSocket on the port of HTTP shares its listener.
	config.HTTPHost, config.HTTPPort, config.HTTPModules = "127.0.0.1", 0, modules
	config.WSHost, config.WSPort, config.WSModules = "127.0.0.1", 0, modules
	config.AuthAddr, config.AuthPort = "127.0.0.1", 0
	return &config
}

func (c *Chain) start() error {
	alloc := core.SystemContractAllocs()
	alloc[c.owner.From] = types.Account{Balance: ether(1_000_000_000)}
	config := ethconfig.Defaults
	config.Genesis = &core.Genesis{Config: params.AllDevChainProtocolChanges, GasLimit: blockGasLimit, Alloc: alloc}
	config.Miner.GasCeil = blockGasLimit
	config.SyncMode = ethconfig.FullSync
	config.TxPool.NoLocals = true
	config.LogNoHistory = true // searches walk the few blocks that there are

	backend, err := eth.New(c.stack, &config)
	if err != nil {
		return err
	}
	filterSystem := filters.NewFilterSystem(backend.APIBackend, filters.Config{})
	c.stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(filterSystem)}})
	if err := c.stack.Start(); err != nil {
		return err
	}
	beacon, err := catalyst.NewSimulatedBeacon(0, common.Address{}, backend)
	if err != nil {
		return err
	}
	c.eth, c.beacon = backend, beacon
	c.client = ethclient.NewClient(c.stack.Attach())
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.miner.Go(func() { c.mine(ctx) })
	return nil
}

// HTTPURL is where the chain serves JSON-RPC over HTTP.
func (c *Chain) HTTPURL() string { return c.stack.HTTPEndpoint() }

// WSURL is where the chain serves JSON-RPC over WebSocket.
func (c *Chain) WSURL() string { return c.stack.WSEndpoint() }

// Close ends the chain and frees its ports.
func (c *Chain) Close() error {
	c.stop()
	c.miner.Wait()
	c.client.Close()
	if err := errors.Join(c.beacon.Stop(), c.stack.Close()); err != nil {
		return fmt.Errorf("stop the embedded go-ethereum: %w", err)
	}
	return nil
}

// Fund gives 100 ether to each account.
func (c *Chain) Fund(ctx context.Context, accounts ...common.Address) error {
	var orders []order
	for _, account := range accounts {
		orders = append(orders, order{"fund account " + account.Hex(), func(auth *bind.TransactOpts) (*types.Transaction, error) {
			tx, err := auth.Signer(auth.From, types.NewTx(&types.DynamicFeeTx{
				ChainID: big.NewInt(ID), Nonce: auth.Nonce.Uint64(), To: &account, Value: ether(100), Gas: 1_000_000,
				GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(100 * params.GWei),
			}))
			if err != nil {
				return nil, err
			}
			return tx, c.client.SendTransaction(ctx, tx)
		}})
	}
	return c.together(ctx, orders...)
}

// order is a transaction of the owner's to send, and what it is for.
type order struct {
	what string
	send func(*bind.TransactOpts) (*types.Transaction, error)
}

// together sends transactions that go into one block, since every block takes the clock a second ahead, and waits for them.
func (c *Chain) together(ctx context.Context, orders ...order) error {
	txs, err := c.send(ctx, orders)
	if err != nil {
		return err
	}
	for i, tx := range txs {
		if _, err := c.receipt(ctx, tx); err != nil {
			return fmt.Errorf("%s: %w", orders[i].what, err)
		}
	}
	return nil
}

func (c *Chain) send(ctx context.Context, orders []order) ([]*types.Transaction, error) {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	// Counted here, because the pool tells the next nonce only a moment after it took a transaction. None of the owner's
	// is under way: each is waited for.
	next, err := c.client.NonceAt(ctx, c.owner.From, nil)
	if err != nil {
		return nil, fmt.Errorf("read the nonce of the chain's owner: %w", err)
	}
	var txs []*types.Transaction
	for i, order := range orders {
		auth := *c.owner
		auth.Context = ctx
		auth.Nonce = new(big.Int).SetUint64(next + uint64(i))
		tx, err := order.send(&auth)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", order.what, err)
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// receipt waits for a transaction and fails when it was reverted.
func (c *Chain) receipt(ctx context.Context, tx *types.Transaction) (*types.Receipt, error) {
	// Asked at short intervals because bind.WaitMined looks once a second, and a network makes some ten transactions.
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		receipt, err := c.client.TransactionReceipt(ctx, tx.Hash())
		switch {
		case err == nil && receipt.Status == types.ReceiptStatusSuccessful:
			return receipt, nil
		case err == nil:
			return nil, fmt.Errorf("transaction %s was reverted after %d of %d gas", tx.Hash(), receipt.GasUsed, tx.Gas())
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for transaction %s: %w", tx.Hash(), ctx.Err())
		case <-ticker.C:
		}
	}
}

func ether(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(params.Ether))
}
