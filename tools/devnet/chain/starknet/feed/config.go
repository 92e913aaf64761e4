package feed

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/aggregator"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Timing says what of the configuration's timing is not devnet's own.
type Timing = ocr2.Timing

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
	faulty := ocr2.Faulty(len(oracles))
	calldata = append(calldata, stark.FromUint64(uint64(faulty)), stark.Felt{}, stark.FromUint64(version),
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
		ConfigDigest: details[2].Bytes(), ConfigCount: count, F: uint8(ocr2.Faulty(len(oracles))),
		OffchainConfigVersion: version, OffchainConfig: offchain,
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
	identities, err := ocr2.Identities(oracles, func(signer stark.Felt) []byte {
		b := signer.Bytes()
		return b[:]
	}, stark.Felt.String)
	if err != nil {
		return 0, nil, err
	}
	return ocr2.OffchainConfig(ctx, identities, timing, f.min, f.max)
}
