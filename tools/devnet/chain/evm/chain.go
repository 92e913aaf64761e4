// Package evm is the EVM chain of a local network, and on it the OCR2Aggregator that the oracles write to: go-ethereum
// inside this process with JSON-RPC over HTTP and WebSocket on loopback, or a chain that somebody else runs.
//
// It must not know of nodes, jobs or prices: it takes public keys and gives transmissions.
package evm

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"
)

// Chain is a chain with an account that pays for the feed and gives to its oracles. Close ends it, or the connection to
// it.
type Chain struct {
	client *ethclient.Client
	id     *big.Int
	payer  payer
	// httpURL and wsURL are where the chain serves JSON-RPC; of somebody else's, one of them may be empty.
	httpURL, wsURL string
	// first is the oldest block that may hold anything of the feed's or of its oracles'.
	first uint64
	// share is what Fund gives to each account, in wei.
	share *big.Int
	// finality is how many blocks make a transaction final, as far as the chain tells; 0: it does not.
	finality uint64
	// period is how often a chain is asked for what is awaited.
	period time.Duration
	// own is the go-ethereum inside this process; nil: somebody else runs the chain.
	own *embedded
	// unwilling says that somebody else's chain makes no blocks on demand.
	unwilling bool
}

// ID is the chain's id.
func (c *Chain) ID() *big.Int { return c.id }

// HTTPURL is where the chain serves JSON-RPC over HTTP.
func (c *Chain) HTTPURL() string { return c.httpURL }

// WSURL is where the chain serves JSON-RPC over WebSocket.
func (c *Chain) WSURL() string { return c.wsURL }

// Finality returns how many blocks on top of a transaction make it final, as far as the chain tells; 0 if it does not.
func (c *Chain) Finality() uint64 { return c.finality }

// Close ends a chain of this process and frees its ports. Somebody else's goes on.
func (c *Chain) Close() error {
	if c.own == nil {
		c.client.Close()
		return nil
	}
	c.own.halt()
	c.client.Close()
	return c.own.close()
}

// Seal makes a block now, whatever waits. A chain that somebody else runs is asked for one by evm_mine, which those for
// tests serve; the others make their blocks in their own time.
func (c *Chain) Seal(ctx context.Context) {
	if c.own != nil {
		c.own.Seal()
		return
	}
	if c.unwilling {
		return
	}
	c.unwilling = isRefused(c.client.Client().CallContext(ctx, nil, "evm_mine"))
}

// blockSample is how many blocks BlockTime looks at.
const blockSample = 10

// BlockTime returns the time between two of the latest blocks. It takes the shortest, because chains that make blocks
// only for transactions pause in between. It is 0 if blocks come more than once a second, if there are not two, or if
// the chain is in this process, which makes a block as soon as there is a transaction.
func (c *Chain) BlockTime(ctx context.Context) (time.Duration, error) {
	if c.own != nil {
		return 0, nil
	}
	head, err := c.client.BlockNumber(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the number of the chain's latest block: %w", err)
	}
	var times []uint64
	for number := head - min(head, blockSample); number <= head; number++ {
		header, err := c.client.HeaderByNumber(ctx, new(big.Int).SetUint64(number))
		if err != nil {
			return 0, fmt.Errorf("read block %d: %w", number, err)
		}
		times = append(times, header.Time)
	}
	var gaps []uint64
	for i := 1; i < len(times); i++ {
		gaps = append(gaps, times[i]-min(times[i], times[i-1]))
	}
	if len(gaps) == 0 {
		return 0, nil
	}
	return time.Duration(slices.Min(gaps)) * time.Second, nil
}

// Fund gives the same amount to each account: 100 ether on a chain of this process.
func (c *Chain) Fund(ctx context.Context, accounts ...common.Address) error {
	var orders []order
	for _, account := range accounts {
		orders = append(orders,
			order{"fund account " + account.Hex(), func(auth *bind.TransactOpts) (*types.Transaction, error) {
				gas, err := c.client.EstimateGas(ctx, ethereum.CallMsg{From: auth.From, To: &account, Value: c.share})
				if err != nil {
					return nil, err
				}
				auth.GasLimit, auth.Value = gas, c.share
				return bind.NewBoundContract(account, abi.ABI{}, c.client, c.client, c.client).RawTransact(auth, nil)
			}})
	}
	return c.together(ctx, orders...)
}

// order is a transaction of the payer's, and what it is for. It is made but not sent.
type order struct {
	what string
	make func(*bind.TransactOpts) (*types.Transaction, error)
}

// together sends transactions so that they go into one block, because every block moves the clock of devnet's own chain
// a second ahead, and waits for them.
func (c *Chain) together(ctx context.Context, orders ...order) error {
	hashes, err := c.send(ctx, orders)
	if err != nil {
		return err
	}
	for i, hash := range hashes {
		if _, err := c.receipt(ctx, hash); err != nil {
			return fmt.Errorf("%s: %w", orders[i].what, err)
		}
	}
	return nil
}

func (c *Chain) send(ctx context.Context, orders []order) ([]common.Hash, error) {
	nonce := c.client.PendingNonceAt
	if c.own != nil {
		c.own.sealing.Lock()
		defer c.own.sealing.Unlock()
		// The pool tells the next nonce only a moment after it took a transaction. None of the owner's is under way: each
		// is waited for.
		nonce = func(ctx context.Context, owner common.Address) (uint64, error) {
			return c.client.NonceAt(ctx, owner, nil)
		}
	}
	next, err := nonce(ctx, c.payer.account)
	if err != nil {
		return nil, fmt.Errorf("read the nonce of %s: %w", c.payer.account, err)
	}
	var hashes []common.Hash
	for i, order := range orders {
		tx, err := order.make(&bind.TransactOpts{
			From: c.payer.account, Nonce: new(big.Int).SetUint64(next + uint64(i)), Context: ctx, NoSend: true,
			// the payer does
			Signer: func(_ common.Address, tx *types.Transaction) (*types.Transaction, error) { return tx, nil },
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", order.what, err)
		}
		hash, err := c.payer.send(ctx, c.client, c.id, tx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", order.what, err)
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// receipt waits for a transaction and fails when it was reverted. A node may tell its receipt a moment before it takes
// its block for the latest, whose state calls read: that is waited for too.
func (c *Chain) receipt(ctx context.Context, hash common.Hash) (*types.Receipt, error) {
	ticker := time.NewTicker(c.period)
	defer ticker.Stop()
	for {
		receipt, err := c.client.TransactionReceipt(ctx, hash)
		switch {
		case err == nil && receipt.Status == types.ReceiptStatusSuccessful:
			if latest, err := c.client.BlockNumber(ctx); err == nil && latest >= receipt.BlockNumber.Uint64() {
				return receipt, nil
			}
		case err == nil:
			return nil, fmt.Errorf("transaction %s was reverted after %d gas", hash, receipt.GasUsed)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for transaction %s: %w", hash, ctx.Err())
		case <-ticker.C:
		}
	}
}

func ether(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(params.Ether))
}
