package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// evmLedger is an EVM chain with an OCR2Aggregator.
type evmLedger struct {
	// remote is somebody else's chain; nil: devnet runs its own.
	remote *evm.Remote
	chain  *evm.Chain
	feed   *evm.Feed
	// feeds are all, where the session measures many; nil: feed is the only one.
	feeds []*evm.Feed
	many  int
	// httpURL is where nodes reach the chain, where that is not its own address.
	httpURL string
}

func newEVM(config Config, _ string) (ledger, error) { return &evmLedger{many: config.Feeds}, nil }

// remoteChain has the session use the chain that the user names, in place of devnet's own.
func (n *network) remoteChain() error {
	config := n.config
	if config.RPC == "" {
		if config.KeyFile != "" || config.PasswordFile != "" {
			return errors.New("--key-file and --password-file are of an account on a chain that --rpc names; give --rpc, or " +
				"leave them out")
		}
		return nil
	}
	if n.kind.name != chainEVM {
		return fmt.Errorf("--rpc names an EVM chain, and --chain is %s; choose one of them", n.kind.name)
	}
	if config.Hosts {
		return errors.New("--rpc names a server that nodes cannot reach from hosts of their own; leave out --rpc or --hosts")
	}
	share, err := weiOf(config.Fund)
	if err != nil {
		return fmt.Errorf("--fund is %q: %w", config.Fund, err)
	}
	remote := &evm.Remote{
		URL: config.RPC, KeyFile: config.KeyFile, PasswordFile: config.PasswordFile, Share: share, Accounts: config.Nodes,
	}
	n.kind.opening = "Deploying an OCR2Aggregator on the chain that --rpc names …"
	n.kind.ledger = func(Config, string) (ledger, error) { return &evmLedger{remote: remote}, nil }
	return nil
}

// weiOf reads an amount of coins with up to 18 decimals.
func weiOf(coins string) (*big.Int, error) {
	whole, fraction, _ := strings.Cut(coins, ".")
	digits := whole + fraction + strings.Repeat("0", max(0, 18-len(fraction)))
	wei, ok := new(big.Int).SetString(digits, 10)
	if !ok || len(fraction) > 18 || strings.Trim(digits, "0123456789") != "" || wei.Sign() == 0 {
		return nil, errors.New("give an amount above zero with at most 18 decimals, as in 0.5")
	}
	return wei, nil
}

func (e *evmLedger) open(ctx context.Context) (err error) {
	if e.remote != nil {
		e.chain, err = evm.Dial(ctx, *e.remote)
	} else {
		e.chain, err = evm.Start()
	}
	if err != nil {
		return err
	}
	if e.many == 0 {
		e.feed, err = e.chain.DeployFeed(ctx)
		return err
	}
	if e.feeds, err = e.chain.DeployFeeds(ctx, e.many); err == nil {
		e.feed = e.feeds[0]
	}
	return err
}

func (e *evmLedger) close() error {
	if e.chain == nil {
		return nil
	}
	return e.chain.Close()
}

func (e *evmLedger) describe() node.Chain {
	return node.Chain{
		Kind: chainEVM, ID: e.chain.ID().String(), WSURL: e.chain.WSURL(), HTTPURL: cmp.Or(e.httpURL, e.chain.HTTPURL()),
		FinalityDepth: min(e.chain.Finality(), finalityDepth),
	}
}

func (e *evmLedger) contract() string { return e.feed.Address().Hex() }

func (e *evmLedger) fields(fields *job.Fields, prices *price.Server) {
	fields.JuelsURL = prices.JuelsURL()
}

func (e *evmLedger) configure(ctx context.Context, members []*member, terms terms) error {
	var oracles []evm.Oracle
	var accounts []common.Address
	for _, m := range members {
		if !common.IsHexAddress(m.keys.Account) || len(m.keys.OnchainPublicKey) != common.AddressLength {
			return fmt.Errorf("list the keys of %s: account %q with the on-chain key %x are not two addresses",
				m.Name(), m.keys.Account, m.keys.OnchainPublicKey)
		}
		account := common.HexToAddress(m.keys.Account)
		accounts = append(accounts, account)
		oracles = append(oracles, evm.Oracle{
			PeerID: m.keys.PeerID, OffchainPublicKey: m.keys.OffchainPublicKey,
			ConfigEncryptionPublicKey: m.keys.ConfigEncryptionPublicKey,
			Signer:                    common.BytesToAddress(m.keys.OnchainPublicKey), Transmitter: account,
		})
	}
	if err := e.chain.Fund(ctx, accounts...); err != nil {
		return err
	}
	timing := evm.Timing{MaxDurationQuery: terms.query, DeltaProgress: terms.progress, Pace: terms.pace}
	if e.many > 0 {
		if err := e.chain.ConfigureFeeds(ctx, e.feeds, oracles, timing); err != nil {
			return err
		}
		e.chain.Pace(max(time.Second, terms.pace/10)) // from here on: the blocks in which feeds are made come faster
		return nil
	}
	_, err := e.feed.Configure(ctx, oracles, timing, terms.product)
	return err
}

func (e *evmLedger) watch(ctx context.Context, take func(transmission) error) error {
	return e.feed.Watch(ctx, func(t evm.Transmission) error {
		return take(transmission{
			RoundID: t.RoundID, ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round, Answer: t.Answer,
			Observers: t.Observers, Observations: t.Observations, ObservationsTimestamp: t.ObservationsTimestamp,
			Transmitter: t.Transmitter.Hex(), Fee: t.GasUsed,
		})
	})
}

// finalityDepth is what nodes take when nobody says otherwise. It is the most that devnet has them wait: chains that
// take hours to call a block final are not waited for.
const finalityDepth = 50

// finalize implements keeper.
func (e *evmLedger) finalize(ctx context.Context) { e.chain.Seal(ctx) }

// finality implements keeper.
func (e *evmLedger) finality(ctx context.Context) (time.Duration, error) {
	blockTime, err := e.chain.BlockTime(ctx)
	return finalityDepth * blockTime, err
}

// books implements keeper.
func (e *evmLedger) books(ctx context.Context, members []*member) (books audit.Books, err error) {
	transmissions, err := e.feed.Landed(ctx)
	if err != nil {
		return audit.Books{}, err
	}
	for _, t := range transmissions {
		books.Landed = append(books.Landed, audit.Position{ConfigDigest: t.ConfigDigest, Epoch: t.Epoch, Round: t.Round})
	}
	sent, err := e.feed.Sent(ctx)
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
