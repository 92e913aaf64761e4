package feed

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Timing says what of the configuration's timing is not devnet's own.
type Timing struct {
	// MaxDurationQuery is how long a leader may take to make a query. 0 is what real feeds have on the chain, and with
	// which a node runs only under a minimum of its own above 0.
	MaxDurationQuery time.Duration
	// DeltaProgress is the least time after which a leader that does nothing is replaced; devnet's own is 5 s.
	DeltaProgress time.Duration
}

// DefaultTiming is what suits most: 200 ms for a query.
func DefaultTiming() Timing { return Timing{MaxDurationQuery: 200 * time.Millisecond} }

// Configure tells the contract its oracles, in this order, and returns the digest of the configuration. A later call
// replaces the oracles, and the nodes follow.
func (f *Feed) Configure(ctx context.Context, oracles []Oracle, timing Timing) (ocrtypes.ConfigDigest, error) {
	if n := len(oracles); n < MinOracles || n > MaxOracles {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %d oracles given, it takes %d to %d", n, MinOracles,
			MaxOracles)
	}
	version, offchain, err := f.offchainConfig(ctx, oracles, timing)
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("make the feed's configuration for %d oracles: %w", len(oracles), err)
	}
	calldata := []stark.Felt{stark.FromUint64(uint64(len(oracles)))}
	for _, oracle := range oracles {
		calldata = append(calldata, oracle.Signer, oracle.Transmitter)
	}
	packed := packBytes(offchain)
	calldata = append(calldata, stark.FromUint64(uint64(Faulty(len(oracles)))), stark.Felt{}, stark.FromUint64(version),
		stark.FromUint64(uint64(len(packed))))
	calldata = append(calldata, packed...)
	_, err = f.chain.Send(f.chain.Owner(),
		chain.Call{To: f.address, Selector: aggregator.Selector("set_config"), Calldata: calldata})
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %w", err)
	}
	return f.check(oracles, version, offchain)
}

// check reads the digest back and looks at the configuration as a node would. One that the nodes refuse is better
// refused here than in four logs.
func (f *Feed) check(oracles []Oracle, version uint64, offchain []byte) (ocrtypes.ConfigDigest, error) {
	var now chain.BlockID
	if err := now.UnmarshalJSON([]byte(`"pre_confirmed"`)); err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	details, failure := f.chain.View(chain.Version10, 0).Call(now,
		chain.Call{To: f.address, Selector: aggregator.Selector("latest_config_details"), Calldata: []stark.Felt{}})
	if failure != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("read the feed's configuration: %w", failure)
	}
	count, _ := details[0].Uint64()
	config := ocrtypes.ContractConfig{
		ConfigDigest: details[2].Bytes(), ConfigCount: count, F: uint8(Faulty(len(oracles))), OffchainConfigVersion: version,
		OffchainConfig: offchain,
	}
	for _, oracle := range oracles {
		signer := oracle.Signer.Bytes()
		config.Signers = append(config.Signers, signer[:])
		config.Transmitters = append(config.Transmitters, ocrtypes.Account(oracle.Transmitter.String()))
	}
	for _, word := range []*big.Int{big.NewInt(1), f.min, f.max} {
		config.OnchainConfig = append(config.OnchainConfig, word.FillBytes(make([]byte, 32))...)
	}
	if _, err := confighelper.PublicConfigFromContractConfig(false, config); err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("check the feed's configuration as a node would: %w", err)
	}
	return config.ConfigDigest, nil
}

// packBytes writes bytes as felts: their number, then 31 of them in each.
func packBytes(bytes []byte) []stark.Felt {
	packed := []stark.Felt{stark.FromUint64(uint64(len(bytes)))}
	for chunk := range slices.Chunk(bytes, 31) {
		f, err := stark.FromBytes(chunk)
		if err != nil {
			panic(err) // 31 bytes are below the field's size
		}
		packed = append(packed, f)
	}
	return packed
}

func (f *Feed) offchainConfig(ctx context.Context, oracles []Oracle,
	timing Timing) (version uint64, offchain []byte, err error) {
	// The contract puts its on-chain configuration together itself; libocr wants one that it knows, and takes nothing from
	// it.
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: f.min, Max: f.max})
	if err != nil {
		return 0, nil, err
	}
	identities, err := identities(oracles)
	if err != nil {
		return 0, nil, err
	}
	initialization := 4 * time.Second
	turns := make([]int, len(oracles)) // one oracle at a time transmits
	for i := range turns {
		turns[i] = 1
	}
	_, _, _, _, version, offchain, err = confighelper.ContractSetConfigArgsForTests(
		// deltaProgress: a leader that does nothing for so long is replaced
		max(5*time.Second, timing.DeltaProgress),
		time.Second,         // deltaResend
		time.Second,         // deltaRound
		50*time.Millisecond, // deltaGrace: late observations still count
		4*time.Second,       // deltaStage: the next transmitter steps in after so long
		100,                 // rMax: rounds before the leader changes
		turns,
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
	return version, offchain, err
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
		signer := oracle.Signer.Bytes()
		identity.OnchainPublicKey = signer[:]
		identity.PeerID = oracle.PeerID
		identity.TransmitAccount = ocrtypes.Account(oracle.Transmitter.String())
		all = append(all, identity)
	}
	return all, nil
}
