package evm

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/smartcontractkit/libocr/gethwrappers2/link_token_interface"
	"github.com/smartcontractkit/libocr/gethwrappers2/ocr2aggregator"
	"github.com/smartcontractkit/libocr/gethwrappers2/testocr2aggregator"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/chains/evmutil"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
)

// Decimals is the number of decimals in a feed's answers.
const Decimals = 8

// Feed is an OCR2Aggregator with the LINK token and the access controller that it needs.
type Feed struct {
	chain      *Chain
	address    common.Address
	aggregator *ocr2aggregator.OCR2Aggregator
	// link and access are the addresses of these two.
	link, access common.Address
}

// Oracle is the public side of one node of a network: its signer is the address whose key signs reports.
type Oracle = ocr2.Oracle[common.Address, common.Address]

// Answers are limited to this range, which no price of a demonstration reaches.
var (
	minAnswer = big.NewInt(1)
	maxAnswer = new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
)

// DeployFeed deploys an unconfigured feed, and the contracts that it needs, from the account that pays.
func (c *Chain) DeployFeed(ctx context.Context) (*Feed, error) {
	feed := &Feed{chain: c}
	// Addresses follow from the payer's nonce, so no contract has to be on the chain before the next is sent.
	err := c.together(ctx,
		order{"deploy the LINK token", func(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
			feed.link, tx, _, err = link_token_interface.DeployLinkToken(auth, c.client)
			return tx, err
		}},
		order{"deploy the access controller", func(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
			feed.access, tx, _, err = testocr2aggregator.DeploySimpleWriteAccessController(auth, c.client)
			return tx, err
		}},
		order{"deploy the OCR2Aggregator", func(auth *bind.TransactOpts) (*types.Transaction, error) {
			return feed.deploy(auth)
		}},
	)
	if err != nil {
		return nil, err
	}
	return feed, nil
}

func (f *Feed) deploy(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
	f.address, tx, f.aggregator, err = ocr2aggregator.DeployOCR2Aggregator(
		auth, f.chain.client, f.link, minAnswer, maxAnswer, f.access, f.access, Decimals, "loop devnet")
	return tx, err
}

// Address returns the address of the feed's contract.
func (f *Feed) Address() common.Address { return f.address }

// MinOracles and MaxOracles bound a feed: fewer outvote no faulty oracle, and the contract has room for no more.
const (
	MinOracles = ocr2.MinOracles
	MaxOracles = 31
)

// Timing says what of the configuration's timing is not devnet's own.
type Timing struct {
	// MaxDurationQuery is how long a leader may take to make a query. Real feeds have 0 on the chain; a node runs with
	// that only if it sets a minimum above 0.
	MaxDurationQuery time.Duration
	// DeltaProgress is the least time after which a leader that does nothing is replaced; devnet's own is 3 s.
	DeltaProgress time.Duration
	// Pace is the time between two rounds of a feed that reports every second one of them, whatever the price does; 0:
	// devnet's own, half a second, and a report of each.
	Pace time.Duration
}

// Product is the product on which the oracles agree, if that is not the median.
type Product struct {
	// OCR is the version of the protocol: 2 or 3.
	OCR int
	// Config is the product's own part of the off-chain configuration, as it wants it.
	Config []byte
}

// Configure tells the contract its oracles, in this order, and returns the digest of the configuration. A later call
// replaces the oracles, and the nodes follow. If product is nil, they run the median over OCR2.
func (f *Feed) Configure(
	ctx context.Context, oracles []Oracle, timing Timing, product *Product,
) (ocrtypes.ConfigDigest, error) {
	set, err := f.arguments(ctx, oracles, timing, product)
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	return f.setConfig(ctx, set)
}

// arguments are those of setConfig.
func (f *Feed) arguments(
	ctx context.Context, oracles []Oracle, timing Timing, product *Product,
) (setConfigArgs, error) {
	if n := len(oracles); n < MinOracles || n > MaxOracles {
		return setConfigArgs{}, fmt.Errorf("configure the feed: %d oracles given, it takes %d to %d", n, MinOracles,
			MaxOracles)
	}
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: minAnswer, Max: maxAnswer})
	if err != nil {
		return setConfigArgs{}, fmt.Errorf("encode the feed's range of answers: %w", err)
	}
	identities, err := ocr2.Identities(oracles, common.Address.Bytes, common.Address.Hex)
	if err != nil {
		return setConfigArgs{}, err
	}
	blockTime, err := f.chain.BlockTime(ctx)
	if err != nil {
		return setConfigArgs{}, err
	}
	args := ocr2Args
	if product != nil && product.OCR == 3 {
		args = ocr3Args
	}
	set, err := args(terms{
		identities: identities, onchain: onchain, plugin: pluginConfig(product, timing.Pace), query: timing.MaxDurationQuery,
		progress: max(3*time.Second, timing.DeltaProgress, 3*timing.Pace), round: max(500*time.Millisecond, timing.Pace),
		// Slow feeds send their epoch twice a round. Sent each second, it would be most of the messages of a round of 10 s.
		resend: max(time.Second, timing.Pace/2),
		stage:  max(2*time.Second, timing.Pace/2) + blockTime,
	})
	if err != nil {
		return setConfigArgs{}, fmt.Errorf("make the feed's configuration for %d oracles: %w", len(oracles), err)
	}
	return set, nil
}

func (f *Feed) setConfig(ctx context.Context, set setConfigArgs) (ocrtypes.ConfigDigest, error) {
	// The contract refuses a transmitter that nobody would be paid for.
	payees, config := f.orders(set)
	if err := f.chain.together(ctx, payees); err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	hashes, err := f.chain.send(ctx, []order{config})
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	receipt, err := f.chain.receipt(ctx, hashes[0])
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %w", err)
	}
	for _, log := range receipt.Logs {
		event, err := f.aggregator.ParseConfigSet(*log)
		if err != nil {
			continue
		}
		// A configuration that the nodes would refuse is better refused here than in four logs.
		config := evmutil.ContractConfigFromConfigSetEvent(*event)
		if err := set.check(config); err != nil {
			return ocrtypes.ConfigDigest{}, fmt.Errorf("check the feed's configuration as a node would: %w", err)
		}
		return config.ConfigDigest, nil
	}
	return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: transaction %s left no ConfigSet event", hashes[0])
}

// orders are the transactions of a configuration. The second counts on the first.
func (f *Feed) orders(set setConfigArgs) (payees, config order) {
	var signerAddresses, transmitterAddresses, paid []common.Address
	for i := range set.signers {
		signerAddresses = append(signerAddresses, common.BytesToAddress(set.signers[i]))
		transmitterAddresses = append(transmitterAddresses, common.HexToAddress(string(set.transmitters[i])))
		paid = append(paid, f.chain.payer.account)
	}
	payees = order{"set the payees of the feed", func(auth *bind.TransactOpts) (*types.Transaction, error) {
		return f.aggregator.SetPayees(auth, transmitterAddresses, paid)
	}}
	config = order{"configure the feed", func(auth *bind.TransactOpts) (*types.Transaction, error) {
		return f.aggregator.SetConfig(
			auth, signerAddresses, transmitterAddresses, set.faulty, set.onchain, set.version, set.offchain)
	}}
	return payees, config
}
