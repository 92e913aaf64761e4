package ocr2

import (
	"context"
	"math/big"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
)

// Timing says what of a configuration's timing is not devnet's own.
type Timing struct {
	// MaxDurationQuery is how long a leader may take to make a query. Real feeds have 0 on the chain; a node runs with
	// that only if it sets a minimum above 0.
	MaxDurationQuery time.Duration
	// DeltaProgress is the least time after which a leader that does nothing is replaced; devnet's own is 5 s.
	DeltaProgress time.Duration
}

// DefaultTiming suits most uses: 200 ms for a query.
func DefaultTiming() Timing { return Timing{MaxDurationQuery: 200 * time.Millisecond} }

// OffchainConfig returns the off-chain part of the configuration of a feed with a round each second and answers between
// least and most. A contract that makes its on-chain part itself ignores those bounds.
func OffchainConfig(
	ctx context.Context, identities []confighelper.OracleIdentityExtra, timing Timing, least, most *big.Int,
) (version uint64, offchain []byte, err error) {
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: least, Max: most})
	if err != nil {
		return 0, nil, err
	}
	initialization := 4 * time.Second
	_, _, _, _, version, offchain, err = confighelper.ContractSetConfigArgsForTests(
		// deltaProgress: a leader that does nothing for so long is replaced
		max(5*time.Second, timing.DeltaProgress),
		time.Second,         // deltaResend
		time.Second,         // deltaRound: a slot of Solana takes 0.4 s, and a transmission two of them
		50*time.Millisecond, // deltaGrace: late observations still count
		4*time.Second,       // deltaStage: the next transmitter steps in after so long
		100,                 // rMax: rounds before the leader changes
		Turns(len(identities)),
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
		Faulty(len(identities)),
		onchain,
	)
	return version, offchain, err
}
