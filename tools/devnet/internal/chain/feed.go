package chain

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
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// Decimals is the number of decimals in a feed's answers.
const Decimals = 8

// Feed is an OCR2Aggregator with the LINK token and the access controller that it needs.
type Feed struct {
	chain      *Chain
	address    common.Address
	aggregator *ocr2aggregator.OCR2Aggregator
}

// Oracle is the public side of one node of a network, as a contract's configuration wants it.
type Oracle struct {
	// PeerID is the node's identity on OCR2's network.
	PeerID string
	// OffchainPublicKey is the ed25519 key that signs messages, 32 bytes.
	OffchainPublicKey []byte
	// ConfigEncryptionPublicKey is the x25519 key for the configuration's secret, 32 bytes.
	ConfigEncryptionPublicKey []byte
	// Signer is the address whose key signs reports.
	Signer common.Address
	// Transmitter is the account that sends reports.
	Transmitter common.Address
}

// Answers are limited to this range, which no price of a demonstration reaches.
var (
	minAnswer = big.NewInt(1)
	maxAnswer = new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
)

// DeployFeed deploys an unconfigured feed, and what it stands on, as the account that pays.
func (c *Chain) DeployFeed(ctx context.Context) (*Feed, error) {
	feed := &Feed{chain: c}
	var link, access common.Address
	// Addresses follow from the payer's nonce, so nothing has to stand before the next is sent.
	err := c.together(ctx,
		order{"deploy the LINK token", func(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
			link, tx, _, err = link_token_interface.DeployLinkToken(auth, c.client)
			return tx, err
		}},
		order{"deploy the access controller", func(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
			access, tx, _, err = testocr2aggregator.DeploySimpleWriteAccessController(auth, c.client)
			return tx, err
		}},
		order{"deploy the OCR2Aggregator", func(auth *bind.TransactOpts) (tx *types.Transaction, err error) {
			feed.address, tx, feed.aggregator, err = ocr2aggregator.DeployOCR2Aggregator(
				auth, c.client, link, minAnswer, maxAnswer, access, access, Decimals, "loop devnet")
			return tx, err
		}},
	)
	if err != nil {
		return nil, err
	}
	return feed, nil
}

// Address is where the feed's contract stands.
func (f *Feed) Address() common.Address { return f.address }

// MinOracles and MaxOracles bound a feed: fewer outvote no faulty oracle, and the contract has room for no more.
const (
	MinOracles = 4
	MaxOracles = 31
)

// Faulty is the number of faulty oracles that n oracles outvote: the largest f with 3f < n.
func Faulty(n int) int { return (n - 1) / 3 }

// Timing says what of the configuration's timing is not devnet's own.
type Timing struct {
	// MaxDurationQuery is how long a leader may take to make a query. 0 is what real feeds have on the chain, and with
	// which a node runs only under a minimum of its own above 0.
	MaxDurationQuery time.Duration
	// DeltaProgress is the least time after which a leader that does nothing is replaced; devnet's own is 3 s.
	DeltaProgress time.Duration
}

// Configure tells the contract its oracles, in this order, and returns the digest of the configuration. A later call
// replaces the oracles, and the nodes follow.
func (f *Feed) Configure(ctx context.Context, oracles []Oracle, timing Timing) (ocrtypes.ConfigDigest, error) {
	if n := len(oracles); n < MinOracles || n > MaxOracles {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %d oracles given, it takes %d to %d", n, MinOracles, MaxOracles)
	}
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: minAnswer, Max: maxAnswer})
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("encode the feed's range of answers: %w", err)
	}
	identities, err := identities(oracles)
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	blockTime, err := f.chain.BlockTime(ctx)
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	initialization := 4 * time.Second
	signers, transmitters, faulty, onchain, version, offchain, err := confighelper.ContractSetConfigArgsForTests(
		// deltaProgress: a leader that does nothing for so long is replaced; bounds every failover
		max(3*time.Second, timing.DeltaProgress),
		time.Second,             // deltaResend
		500*time.Millisecond,    // deltaRound: two rounds a second are slow enough to be read
		50*time.Millisecond,     // deltaGrace: late observations still count
		2*time.Second+blockTime, // deltaStage: the next transmitter steps in after so long
		100,                     // rMax: rounds before the leader changes
		turns(len(oracles)),
		identities,
		median.OffchainConfig{
			AlphaReportPPB: 1, // any change of the price is reported
			AlphaAcceptPPB: 1,
			DeltaC:         time.Second, // a price that stands still is reported too
		}.Encode(),
		&initialization,
		timing.MaxDurationQuery,
		time.Second,          // observation
		500*time.Millisecond, // report; the three must sum up to less than deltaProgress
		500*time.Millisecond, // should accept
		500*time.Millisecond, // should transmit
		Faulty(len(oracles)),
		onchain,
	)
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("make the feed's configuration for %d oracles: %w", len(oracles), err)
	}
	return f.setConfig(ctx, signers, transmitters, faulty, onchain, version, offchain)
}

func (f *Feed) setConfig(
	ctx context.Context, signers []ocrtypes.OnchainPublicKey, transmitters []ocrtypes.Account, faulty uint8,
	onchain []byte, version uint64, offchain []byte,
) (ocrtypes.ConfigDigest, error) {
	var signerAddresses, transmitterAddresses, payees []common.Address
	for i := range signers {
		signerAddresses = append(signerAddresses, common.BytesToAddress(signers[i]))
		transmitterAddresses = append(transmitterAddresses, common.HexToAddress(string(transmitters[i])))
		payees = append(payees, f.chain.payer.account)
	}
	// The contract refuses a transmitter that nobody would be paid for.
	err := f.chain.together(ctx, order{"set the payees of the feed", func(auth *bind.TransactOpts) (*types.Transaction, error) {
		return f.aggregator.SetPayees(auth, transmitterAddresses, payees)
	}})
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	hashes, err := f.chain.send(ctx, []order{{"configure the feed", func(auth *bind.TransactOpts) (*types.Transaction, error) {
		return f.aggregator.SetConfig(auth, signerAddresses, transmitterAddresses, faulty, onchain, version, offchain)
	}}})
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
		if _, err := confighelper.PublicConfigFromContractConfig(false, config); err != nil {
			return ocrtypes.ConfigDigest{}, fmt.Errorf("check the feed's configuration as a node would: %w", err)
		}
		return config.ConfigDigest, nil
	}
	return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: transaction %s left no ConfigSet event", hashes[0])
}

func identities(oracles []Oracle) ([]confighelper.OracleIdentityExtra, error) {
	var all []confighelper.OracleIdentityExtra
	for i, oracle := range oracles {
		var identity confighelper.OracleIdentityExtra
		if n := len(oracle.OffchainPublicKey); n != len(identity.OffchainPublicKey) {
			return nil, fmt.Errorf("oracle %d: its offchain public key has %d bytes instead of 32", i, n)
		}
		if n := len(oracle.ConfigEncryptionPublicKey); n != len(identity.ConfigEncryptionPublicKey) {
			return nil, fmt.Errorf("oracle %d: its config encryption public key has %d bytes instead of 32", i, n)
		}
		copy(identity.OffchainPublicKey[:], oracle.OffchainPublicKey)
		copy(identity.ConfigEncryptionPublicKey[:], oracle.ConfigEncryptionPublicKey)
		identity.OnchainPublicKey = oracle.Signer.Bytes()
		identity.PeerID = oracle.PeerID
		identity.TransmitAccount = ocrtypes.Account(oracle.Transmitter.Hex())
		all = append(all, identity)
	}
	return all, nil
}

// turns lets one oracle at a time transmit.
func turns(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = 1
	}
	return s
}
