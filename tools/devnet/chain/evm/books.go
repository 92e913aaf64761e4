package evm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// Landed reads all transmissions of the feed off the chain, in its order, without what they cost.
func (f *Feed) Landed(ctx context.Context) ([]Transmission, error) {
	events, err := f.aggregator.FilterNewTransmission(&bind.FilterOpts{Start: f.chain.first, Context: ctx}, nil)
	if err != nil {
		return nil, fmt.Errorf("read the transmissions of the feed: %w", err)
	}
	defer events.Close()
	var all []Transmission
	for events.Next() {
		all = append(all, transmission(events.Event, 0))
	}
	if err := events.Error(); err != nil {
		return nil, fmt.Errorf("read the transmissions of the feed: %w", err)
	}
	return all, nil
}

// Report names a report that a transaction brought to the feed.
type Report struct {
	ConfigDigest ocrtypes.ConfigDigest
	Epoch        uint32
	Round        uint8
}

// Sent reads which reports transactions brought to the feed, also those that it refused, in the order of the chain.
func (f *Feed) Sent(ctx context.Context) ([]Report, error) {
	contract, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	if err != nil {
		return nil, fmt.Errorf("read the ABI of the feed: %w", err)
	}
	transmit := contract.Methods["transmit"].ID
	var all []Report
	_, err = f.chain.walk(ctx, func(tx mined) {
		if tx.To == nil || *tx.To != f.address || !bytes.HasPrefix(tx.Input, transmit) {
			return
		}
		// The first two words of the report's context: the digest, and one that ends in four bytes of epoch and one of round.
		context := tx.Input[len(transmit):]
		if len(context) < 64 {
			return
		}
		all = append(all, Report{
			ConfigDigest: ocrtypes.ConfigDigest(context[:32]), Epoch: binary.BigEndian.Uint32(context[59:63]),
			Round: context[63],
		})
	})
	return all, err
}

// mined is what is read of a transaction in a block. types.Transaction knows only the kinds that Ethereum has, and
// other chains have more.
type mined struct {
	From  common.Address  `json:"from"`
	To    *common.Address `json:"to"`
	Input hexutil.Bytes   `json:"input"`
}

// walk shows all transactions since the chain's first block of interest, and returns the number of the last.
func (c *Chain) walk(ctx context.Context, show func(mined)) (head uint64, err error) {
	if head, err = c.client.BlockNumber(ctx); err != nil {
		return 0, fmt.Errorf("read the number of the chain's latest block: %w", err)
	}
	for number := c.first; number <= head; number++ {
		var block *struct {
			Transactions []mined `json:"transactions"`
		}
		err := c.client.Client().CallContext(ctx, &block, "eth_getBlockByNumber", hexutil.Uint64(number), true)
		if err == nil && block == nil {
			err = errors.New("the chain does not have it")
		}
		if err != nil {
			return 0, fmt.Errorf("read block %d: %w", number, err)
		}
		for _, tx := range block.Transactions {
			show(tx)
		}
	}
	return head, nil
}

// Account is what the chain knows about the transactions of an account.
type Account struct {
	// Next is the number of the next transaction, Mined how many are in blocks.
	Next, Mined uint64
	// Pooled are the numbers of those that wait, in ascending order.
	Pooled []uint64
}

// Accounts reads what the chain knows of accounts that had made no transaction before the chain was started or dialled,
// by their addresses.
func (c *Chain) Accounts(ctx context.Context, addresses ...common.Address) (map[common.Address]Account, error) {
	inBlocks := map[common.Address]uint64{}
	head, err := c.walk(ctx, func(tx mined) { inBlocks[tx.From]++ })
	if err != nil {
		return nil, err
	}
	accounts := map[common.Address]Account{}
	for _, address := range addresses {
		account := Account{Mined: inBlocks[address]}
		if account.Next, err = c.client.NonceAt(ctx, address, new(big.Int).SetUint64(head)); err != nil {
			return nil, fmt.Errorf("read the number of the next transaction of %s: %w", address, err)
		}
		pooled, err := c.pooled(ctx, address, account.Next)
		if err != nil {
			return nil, fmt.Errorf("read which transactions of %s wait in the pool: %w", address, err)
		}
		for _, number := range pooled {
			if number >= account.Next { // the pool lets go of what is in a block a moment later
				account.Pooled = append(account.Pooled, number)
			}
		}
		slices.Sort(account.Pooled)
		accounts[address] = account
	}
	return accounts, nil
}

// pooled are the numbers of an account's transactions in the pool. Of chains that do not show their pool, they are
// those that the pending block has beyond next, which leaves out what waits behind a gap.
func (c *Chain) pooled(ctx context.Context, address common.Address, next uint64) ([]uint64, error) {
	var numbers []uint64
	// Both answers have transactions by their numbers, under "pending" and "queued".
	var ofAccount map[string]map[string]json.RawMessage
	err := c.client.Client().CallContext(ctx, &ofAccount, "txpool_contentFrom", address)
	if isRefused(err) {
		var ofAll map[string]map[common.Address]map[string]json.RawMessage
		err = c.client.Client().CallContext(ctx, &ofAll, "txpool_content")
		ofAccount = map[string]map[string]json.RawMessage{}
		for state, accounts := range ofAll {
			ofAccount[state] = accounts[address]
		}
	}
	if isRefused(err) {
		pending, err := c.client.PendingNonceAt(ctx, address)
		for number := next; number < pending; number++ {
			numbers = append(numbers, number)
		}
		return numbers, err
	}
	if err != nil {
		return nil, err
	}
	for _, transactions := range ofAccount {
		for text := range transactions {
			number, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("the pool has a transaction of the number %q", text)
			}
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
}

// isRefused says that a node answered, and did not do what it was asked for. Providers number and word it in many ways
// when they do not serve a method, so that nothing finer can be told.
func isRefused(err error) bool {
	var refused rpc.Error
	return errors.As(err, &refused)
}
