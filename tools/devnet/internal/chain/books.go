package chain

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// Landed reads all transmissions of the feed off the chain, in its order, without what they cost.
func (f *Feed) Landed(ctx context.Context) ([]Transmission, error) {
	events, err := f.aggregator.FilterNewTransmission(&bind.FilterOpts{Context: ctx}, nil)
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

// Sent reads which reports transactions brought to the feed, those included that it refused, in the order of the chain.
func (f *Feed) Sent() ([]Report, error) {
	contract, err := ocr2aggregator.OCR2AggregatorMetaData.GetAbi()
	if err != nil {
		return nil, fmt.Errorf("read the ABI of the feed: %w", err)
	}
	transmit := contract.Methods["transmit"].ID
	var all []Report
	chain := f.chain.eth.BlockChain()
	for number := range chain.CurrentBlock().Number.Uint64() + 1 {
		for _, tx := range chain.GetBlockByNumber(number).Transactions() {
			if tx.To() == nil || *tx.To() != f.address || !bytes.HasPrefix(tx.Data(), transmit) {
				continue
			}
			// The first two words of the report's context: the digest, and one that ends in four bytes of epoch and one of round.
			context := tx.Data()[len(transmit):]
			if len(context) < 64 {
				continue
			}
			all = append(all, Report{
				ConfigDigest: ocrtypes.ConfigDigest(context[:32]), Epoch: binary.BigEndian.Uint32(context[59:63]), Round: context[63],
			})
		}
	}
	return all, nil
}

// Account is what the chain knows of the transactions of an account.
type Account struct {
	// Next is the number of the next transaction, Mined how many are in blocks.
	Next, Mined uint64
	// Pooled are the numbers of those that wait, in ascending order.
	Pooled []uint64
}

// Accounts reads what the chain knows of accounts, by their addresses.
func (c *Chain) Accounts(ctx context.Context, addresses ...common.Address) (map[common.Address]Account, error) {
	chain := c.eth.BlockChain()
	head := chain.CurrentBlock().Number
	mined := map[common.Address]uint64{}
	signer := types.LatestSigner(chain.Config())
	for number := range head.Uint64() + 1 {
		for _, tx := range chain.GetBlockByNumber(number).Transactions() {
			sender, err := types.Sender(signer, tx)
			if err != nil {
				return nil, fmt.Errorf("find the sender of transaction %s in block %d: %w", tx.Hash(), number, err)
			}
			mined[sender]++
		}
	}
	accounts := map[common.Address]Account{}
	for _, address := range addresses {
		account := Account{Mined: mined[address]}
		var err error
		if account.Next, err = c.client.NonceAt(ctx, address, head); err != nil {
			return nil, fmt.Errorf("read the number of the next transaction of %s: %w", address, err)
		}
		executable, queued := c.eth.TxPool().ContentFrom(address)
		for _, tx := range slices.Concat(executable, queued) {
			if tx.Nonce() >= account.Next { // the pool lets go of what is in a block a moment later
				account.Pooled = append(account.Pooled, tx.Nonce())
			}
		}
		slices.Sort(account.Pooled)
		accounts[address] = account
	}
	return accounts, nil
}
