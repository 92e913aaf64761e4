package evm

import (
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
)

// terms are what a configuration says, whatever the protocol.
type terms struct {
	identities []confighelper.OracleIdentityExtra
	onchain    []byte
	plugin     []byte // the part of the off-chain configuration that is the product's
	query      time.Duration
	round      time.Duration // between two rounds of OCR2
	// progress is how long a leader may do nothing before it is replaced: it bounds every failover.
	progress time.Duration
	// resend is after how long an oracle says again which epoch it is in.
	resend time.Duration
	// stage is after how long the next transmitter steps in.
	stage time.Duration
}

// setConfigArgs are the arguments of the contract's setConfig, and a check of them that a node would make.
type setConfigArgs struct {
	signers      []ocrtypes.OnchainPublicKey
	transmitters []ocrtypes.Account
	faulty       uint8
	onchain      []byte
	version      uint64
	offchain     []byte
	check        func(ocrtypes.ContractConfig) error
}

const (
	deltaGrace = 50 * time.Millisecond // late observations still count
	rMax       = 100                   // rounds before the leader changes

	initialization = 4 * time.Second
	observation    = time.Second
	decision       = 500 * time.Millisecond // whether to accept a report, and whether to transmit it
)

// pluginConfig is the product's part of the off-chain configuration, or the median's.
func pluginConfig(product *Product, pace time.Duration) []byte {
	switch {
	case product != nil:
		return product.Config
	case pace > 0:
		const half = 500_000_000 // of the price, which no walk loses between two reports
		return median.OffchainConfig{AlphaReportPPB: half, AlphaAcceptPPB: half, DeltaC: 2 * pace}.Encode()
	}
	return median.OffchainConfig{
		AlphaReportPPB: 1, // any change of the price is reported
		AlphaAcceptPPB: 1,
		DeltaC:         time.Second, // a price that stands still is reported too
	}.Encode()
}

func ocr2Args(t terms) (set setConfigArgs, err error) {
	longest := initialization
	set.signers, set.transmitters, set.faulty, set.onchain, set.version, set.offchain, err =
		confighelper.ContractSetConfigArgsForTests(
			t.progress,
			t.resend,
			t.round, // devnet's own two rounds a second are slow enough to be read
			deltaGrace,
			t.stage,
			rMax,
			ocr2.Turns(len(t.identities)),
			t.identities,
			t.plugin,
			&longest,
			t.query,
			observation,
			500*time.Millisecond, // report; with query and observation it must sum up to less than progress
			decision,
			decision,
			ocr2.Faulty(len(t.identities)),
			t.onchain,
		)
	set.check = func(config ocrtypes.ContractConfig) error {
		_, err := confighelper.PublicConfigFromContractConfig(false, config)
		return err
	}
	return set, err
}

func ocr3Args(t terms) (set setConfigArgs, err error) {
	longest := initialization
	set.signers, set.transmitters, set.faulty, set.onchain, set.version, set.offchain, err =
		ocr3confighelper.ContractSetConfigArgsForTests(
			t.progress,
			t.resend,
			t.progress/2, // deltaInitial: a leader that says nothing at all is replaced after so long
			// deltaRound: an aggregator takes one report of each outcome, and a chain's clock may have a block a second
			time.Second,
			deltaGrace,
			// deltaCertifiedCommitRequest: an oracle that missed an outcome asks another for it, and then the next
			500*time.Millisecond,
			t.stage,
			rMax,
			ocr2.Turns(len(t.identities)),
			t.identities,
			t.plugin,
			&longest,
			t.query,
			observation,
			decision,
			decision,
			ocr2.Faulty(len(t.identities)),
			t.onchain,
		)
	set.check = func(config ocrtypes.ContractConfig) error {
		_, err := ocr3confighelper.PublicConfigFromContractConfig(false, config)
		return err
	}
	return set, err
}
