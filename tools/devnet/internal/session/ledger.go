package session

import (
	"context"
	"fmt"
	"math/big"
	"time"

	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/tools/devnet/chain/evm"
	"github.com/loop-plugins/loop/tools/devnet/internal/job"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
	"github.com/loop-plugins/loop/tools/devnet/internal/price"
)

// Chains that a session can have.
const (
	chainEVM      = "evm"
	chainSolana   = "solana"
	chainStarknet = "starknet"
)

// ledger is the chain of a session with a feed on it, whatever its kind.
type ledger interface {
	// open starts the chain and makes an unconfigured feed. close ends what open began, whether that went well or not.
	open(ctx context.Context) error
	close() error
	// describe is the chain as nodes' configurations name it, contract the address of the feed.
	describe() node.Chain
	contract() string
	// fields fills in the fields of job specs that describe the feed.
	fields(fields *job.Fields, prices *price.Server)
	// configure gives money to the members and tells the feed that they are its oracles.
	configure(ctx context.Context, members []*member, terms terms) error
	// watch gives every transmission to take until ctx ends, take fails or the connection breaks; the error says which.
	watch(ctx context.Context, take func(transmission) error) error
}

// terms are the parts of the feed's configuration that the session chooses.
type terms struct {
	query    time.Duration // MaxDurationQuery
	progress time.Duration // the least DeltaProgress
	product  *evm.Product  // nil: the median; another is for EVM chains alone
	pace     time.Duration // between two rounds of a feed; 0: devnet's own
}

// transmission is a report that the feed took.
type transmission struct {
	// RoundID counts the feed's answers from 1; the next three name the round of the protocol.
	RoundID      uint32
	ConfigDigest ocrtypes.ConfigDigest
	Epoch        uint32
	Round        uint8
	// Answer is the price times 10^decimals.
	Answer *big.Int
	// Observers are members, in the order of what they observed, and Observations are that, where the chain keeps it.
	Observers    []int
	Observations []*big.Int
	// ObservationsTimestamp is when they observed, in Unix seconds.
	ObservationsTimestamp uint32
	// Transmitter is the account that sent the report, and Fee what that cost.
	Transmitter string
	Fee         uint64
}

// kind is a kind of chain.
type kind struct {
	name string
	// opening says what is made first.
	opening string
	// maxOracles is how many a feed takes; each takes four at least.
	maxOracles int
	// relayer is the relayer's program.
	relayer string
	// unit is that of the fees.
	unit     string
	template func() *job.Template
	// ledger makes the chain; bin is the folder of the programs.
	ledger func(config Config, bin string) (ledger, error)
}

// decimals are those of the answers of all feeds.
const decimals = evm.Decimals

func kindOf(name string) (kind, error) {
	switch name {
	case "", chainEVM:
		return kind{
			name: chainEVM, opening: "Deploying an OCR2Aggregator on an Ethereum chain of its own …", maxOracles: evm.MaxOracles,
			relayer: "loop-evm", unit: "gas", template: job.Default, ledger: newEVM,
		}, nil
	case chainSolana:
		return kind{
			name: chainSolana, opening: "Deploying an OCR2 feed on a Solana chain of its own …", maxOracles: solanaOracles,
			relayer: "loop-solana", unit: "lamports", template: job.DefaultSolana, ledger: newSolana,
		}, nil
	case chainStarknet:
		return kind{
			name: chainStarknet, opening: "Deploying an OCR2 feed on a model of Starknet …", maxOracles: starknetOracles,
			relayer: "loop-starknet", unit: "FRI", template: job.DefaultStarknet, ledger: newStarknet,
		}, nil
	}
	return kind{}, fmt.Errorf("--chain is %q; the chains are %s, %s and %s", name, chainEVM, chainSolana, chainStarknet)
}
