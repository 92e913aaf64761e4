package session

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/chain"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// evm is an Ethereum chain with an OCR2Aggregator.
type evm struct {
	chain *chain.Chain
	feed  *chain.Feed
}

func newEVM(_ Config, _ string) (ledger, error) { return &evm{}, nil }

func (e *evm) open(ctx context.Context) (err error) {
	if e.chain, err = chain.Start(); err != nil {
		return err
	}
	e.feed, err = e.chain.DeployFeed(ctx)
	return err
}

func (e *evm) close() error {
	if e.chain == nil {
		return nil
	}
	return e.chain.Close()
}

func (e *evm) describe() node.Chain {
	return node.Chain{Kind: chainEVM, ID: strconv.Itoa(chain.ID), WSURL: e.chain.WSURL(), HTTPURL: e.chain.HTTPURL()}
}

func (e *evm) contract() string { return e.feed.Address().Hex() }

func (e *evm) fields(fields *job.Fields, prices *price.Server) { fields.JuelsURL = prices.JuelsURL() }

func (e *evm) configure(ctx context.Context, members []*member, maxDurationQuery time.Duration) error {
	var oracles []chain.Oracle
	var accounts []common.Address
	for _, m := range members {
		if !common.IsHexAddress(m.keys.Account) || len(m.keys.OnchainPublicKey) != common.AddressLength {
			return fmt.Errorf("list the keys of %s: account %q with the on-chain key %x are not two addresses",
				m.Name(), m.keys.Account, m.keys.OnchainPublicKey)
		}
		account := common.HexToAddress(m.keys.Account)
		accounts = append(accounts, account)
		oracles = append(oracles, chain.Oracle{
			PeerID: m.keys.PeerID, OffchainPublicKey: m.keys.OffchainPublicKey,
			ConfigEncryptionPublicKey: m.keys.ConfigEncryptionPublicKey,
			Signer:                    common.BytesToAddress(m.keys.OnchainPublicKey), Transmitter: account,
		})
	}
	if err := e.chain.Fund(ctx, accounts...); err != nil {
		return err
	}
	_, err := e.feed.Configure(ctx, oracles, maxDurationQuery)
	return err
}

func (e *evm) watch(ctx context.Context, take func(transmission) error) error {
	return e.feed.Watch(ctx, func(t chain.Transmission) error {
		return take(transmission{
			RoundID: t.RoundID, ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round, Answer: t.Answer,
			Observers: t.Observers, Observations: t.Observations, ObservationsTimestamp: t.ObservationsTimestamp,
			Transmitter: t.Transmitter.Hex(), Fee: t.GasUsed,
		})
	})
}

// bury implements keeper.
func (e *evm) bury() { e.chain.Seal() }

// books implements keeper.
func (e *evm) books(ctx context.Context, members []*member) (books audit.Books, err error) {
	transmissions, err := e.feed.Landed(ctx)
	if err != nil {
		return audit.Books{}, err
	}
	for _, t := range transmissions {
		books.Landed = append(books.Landed, audit.Position{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round})
	}
	sent, err := e.feed.Sent()
	if err != nil {
		return audit.Books{}, err
	}
	for _, s := range sent {
		books.Sent = append(books.Sent, audit.Position{ConfigDigest: s.ConfigDigest, Epoch: s.Epoch, Round: s.Round})
	}
	var addresses []common.Address
	for _, m := range members {
		addresses = append(addresses, common.HexToAddress(m.keys.Account))
	}
	known, err := e.chain.Accounts(ctx, addresses...)
	if err != nil {
		return audit.Books{}, err
	}
	for i, m := range members {
		a := known[addresses[i]]
		books.Accounts = append(books.Accounts, audit.Account{Node: m.Name(), Next: a.Next, Mined: a.Mined, Pooled: a.Pooled})
	}
	return books, nil
}
