package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

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

// ID is the id of a chain of this process. go-ethereum's development genesis fixes it.
const ID = 1337

// blockGasLimit is five times that of Ethereum: a network of a thousand feeds begins with thousands of millions of gas,
// in blocks that come once a second.
const blockGasLimit = 300_000_000

// embedded is a go-ethereum inside this process.
//
// The pieces are those of go-ethereum's ethclient/simulated, put together here because that package panics when it
// cannot listen and keeps the node to itself, so that nobody learns which ports it was given.
type embedded struct {
	stack  *node.Node
	eth    *eth.Ethereum
	beacon *catalyst.SimulatedBeacon

	sealing sync.Mutex // the beacon takes one block at a time
	stop    context.CancelFunc
	miner   sync.WaitGroup
	pace    atomic.Int64 // nanoseconds between blocks; 0: they come with transactions
}

// Start starts a chain of this process on free ports of 127.0.0.1, with one rich account that pays. Close ends it.
func Start() (*Chain, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of the chain's owner: %w", err)
	}
	stack, err := node.New(nodeConfig())
	if err != nil {
		return nil, fmt.Errorf("start the embedded go-ethereum: %w", err)
	}
	owner := payer{account: crypto.PubkeyToAddress(key.PublicKey), key: key}
	own := &embedded{stack: stack}
	if err := own.start(owner.account); err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded go-ethereum on 127.0.0.1: %w", err), stack.Close())
	}
	return &Chain{
		client: ethclient.NewClient(stack.Attach()), id: big.NewInt(ID), payer: owner, share: ether(100),
		httpURL: stack.HTTPEndpoint(), wsURL: stack.WSEndpoint(), own: own,
		// Short, because a network makes some ten transactions before it begins.
		period: 5 * time.Millisecond,
	}, nil
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

func (e *embedded) start(owner common.Address) error {
	alloc := core.SystemContractAllocs()
	alloc[owner] = types.Account{Balance: ether(1_000_000_000)}
	config := ethconfig.Defaults
	config.Genesis = &core.Genesis{Config: params.AllDevChainProtocolChanges, GasLimit: blockGasLimit, Alloc: alloc}
	config.Miner.GasCeil = blockGasLimit
	config.SyncMode = ethconfig.FullSync
	config.TxPool.NoLocals = true
	config.LogNoHistory = true // searches walk the few blocks that there are

	backend, err := eth.New(e.stack, &config)
	if err != nil {
		return err
	}
	filterSystem := filters.NewFilterSystem(backend.APIBackend, filters.Config{})
	e.stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(filterSystem)}})
	if err := e.stack.Start(); err != nil {
		return err
	}
	beacon, err := catalyst.NewSimulatedBeacon(0, common.Address{}, backend)
	if err != nil {
		return err
	}
	e.eth, e.beacon = backend, beacon
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.miner.Go(func() { e.mine(ctx) })
	return nil
}

// halt ends the making of blocks.
func (e *embedded) halt() {
	e.stop()
	e.miner.Wait()
}

func (e *embedded) close() error {
	if err := errors.Join(e.beacon.Stop(), e.stack.Close()); err != nil {
		return fmt.Errorf("stop the embedded go-ethereum: %w", err)
	}
	return nil
}
