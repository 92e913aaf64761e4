package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
)

// offchainPart is how much of the off-chain configuration goes into a transaction, which is limited to 1232 bytes.
const offchainPart = 800

// transmitterFunds pay for some 200,000 transmissions.
const transmitterFunds = 2 * solana.LAMPORTS_PER_SOL

// Oracle is the public side of one node of a network: its signer is the address, as Ethereum derives it, of a
// secp256k1 key.
type Oracle = ocr2.Oracle[[20]byte, solana.PublicKey]

// Timing says what of the configuration's timing is not devnet's own.
type Timing = ocr2.Timing

// proposedOracle is an oracle as the program takes it.
type proposedOracle struct {
	signer             [20]byte
	transmitter, payee solana.PublicKey
}

// Sort brings oracles into the order of their numbers in a feed: that of their signers.
func Sort(oracles []Oracle) []Oracle {
	return slices.SortedFunc(slices.Values(oracles), func(a, b Oracle) int {
		return bytes.Compare(a.Signer[:], b.Signer[:])
	})
}

// Configure funds the oracles' transmitters, tells the program its oracles, and returns the digest of the
// configuration. The number of an oracle is its index in Sort(oracles). A later call replaces the oracles, and the
// nodes follow.
func (f *Feed) Configure(ctx context.Context, oracles []Oracle, timing Timing) (ocrtypes.ConfigDigest, error) {
	if n := len(oracles); n < MinOracles || n > MaxOracles {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %d oracles given, it takes %d to %d", n, MinOracles,
			MaxOracles)
	}
	oracles = Sort(oracles)
	version, offchain, err := f.offchainConfig(ctx, oracles, timing)
	if err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("make the feed's configuration for %d oracles: %w", len(oracles), err)
	}
	var proposed []proposedOracle
	for _, oracle := range oracles {
		if err := f.chain.Airdrop(ctx, oracle.Transmitter, transmitterFunds); err != nil {
			return ocrtypes.ConfigDigest{}, fmt.Errorf("fund the transmitter %s: %w", oracle.Transmitter, err)
		}
		payee, _, err := solana.FindAssociatedTokenAddress(oracle.Transmitter, f.TokenMint)
		if err != nil {
			return ocrtypes.ConfigDigest{}, fmt.Errorf("derive the payee of %s: %w", oracle.Transmitter, err)
		}
		if err := f.writeTokenAccount(ctx, payee, oracle.Transmitter, 0); err != nil {
			return ocrtypes.ConfigDigest{}, fmt.Errorf("write the payee of %s: %w", oracle.Transmitter, err)
		}
		proposed = append(proposed, proposedOracle{oracle.Signer, oracle.Transmitter, payee})
	}
	if err := f.propose(ctx, proposed, uint8(ocr2.Faulty(len(oracles))), version, offchain); err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("configure the feed: %w", err)
	}
	return f.check(ctx)
}

// propose takes a configuration through the program's stages. The digest of the proposal is computed here, not read.
func (f *Feed) propose(ctx context.Context, oracles []proposedOracle, faulty uint8, version uint64,
	offchain []byte) error {
	old, err := f.ReadState(ctx, rpc.CommitmentProcessed)
	if err != nil {
		return err
	}
	key, err := solana.NewRandomPrivateKey()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	proposal := key.PublicKey()
	create, err := f.createAccount(ctx, proposal, proposalSize, OCR2Program)
	if err != nil {
		return err
	}
	if err := f.send(ctx, []solana.PrivateKey{key}, create, f.createProposal(proposal, version)); err != nil {
		return fmt.Errorf("create the proposal: %w", err)
	}
	for part := range slices.Chunk(offchain, offchainPart) {
		if err := f.send(ctx, nil, f.writeOffchainConfig(proposal, part)); err != nil {
			return fmt.Errorf("write the off-chain configuration: %w", err)
		}
	}
	if err := f.send(ctx, nil, f.proposeConfig(proposal, oracles, faulty)); err != nil {
		return fmt.Errorf("propose the oracles: %w", err)
	}
	if err := f.send(ctx, nil, f.proposePayees(proposal, oracles), f.finalizeProposal(proposal)); err != nil {
		return fmt.Errorf("propose the payees: %w", err)
	}
	digest := proposalDigest(oracles, faulty, f.TokenMint, version, offchain)
	receiver, _, err := solana.FindAssociatedTokenAddress(f.owner.PublicKey(), f.TokenMint)
	if err != nil {
		return fmt.Errorf("derive the owner's token account: %w", err)
	}
	var payees []solana.PublicKey // of those who are paid before they are replaced
	for _, oracle := range old.Oracles {
		payees = append(payees, oracle.Payee)
	}
	if err := f.send(ctx, nil, f.acceptProposal(proposal, digest, receiver, payees)); err != nil {
		return fmt.Errorf("accept the proposal: %w", err)
	}
	return nil
}

// check reads the configuration back as a node would. One that the nodes refuse is better refused here than in four
// logs.
func (f *Feed) check(ctx context.Context) (ocrtypes.ConfigDigest, error) {
	state, err := f.ReadState(ctx, rpc.CommitmentProcessed)
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	config, err := f.ContractConfig(ctx, state)
	if err != nil {
		return ocrtypes.ConfigDigest{}, err
	}
	if want := ConfigDigest(OCR2Program, f.State, config); want != state.ConfigDigest {
		return ocrtypes.ConfigDigest{}, fmt.Errorf(
			"check the feed's configuration: its digest is %s on the chain and %s here", state.ConfigDigest, want)
	}
	if _, err := confighelper.PublicConfigFromContractConfig(false, config); err != nil {
		return ocrtypes.ConfigDigest{}, fmt.Errorf("check the feed's configuration as a node would: %w", err)
	}
	return state.ConfigDigest, nil
}

// ReadState reads the feed's state.
func (f *Feed) ReadState(ctx context.Context, commitment rpc.CommitmentType) (State, error) {
	data, err := f.read(ctx, f.State, commitment)
	if err != nil {
		return State{}, fmt.Errorf("read the feed's state %s: %w", f.State, err)
	}
	return DecodeState(data)
}

// ReadRounds reads the feed's recent rounds, the newest first, and whether its flag is raised.
func (f *Feed) ReadRounds(ctx context.Context, commitment rpc.CommitmentType) ([]Round, bool, error) {
	data, err := f.read(ctx, f.Transmissions, commitment)
	if err != nil {
		return nil, false, fmt.Errorf("read the feed %s: %w", f.Transmissions, err)
	}
	return DecodeRounds(data)
}

func (f *Feed) read(ctx context.Context, address solana.PublicKey, commitment rpc.CommitmentType) ([]byte, error) {
	info, err := f.client.GetAccountInfoWithOpts(ctx, address,
		&rpc.GetAccountInfoOpts{Encoding: solana.EncodingBase64, Commitment: commitment})
	if err != nil {
		return nil, err
	}
	return info.Value.Data.GetBinary(), nil
}

// ContractConfig is the state's configuration as libocr takes it.
func (f *Feed) ContractConfig(ctx context.Context, state State) (ocrtypes.ContractConfig, error) {
	onchain, err := median.StandardOnchainConfigCodec{}.Encode(ctx,
		median.OnchainConfig{Min: state.MinAnswer, Max: state.MaxAnswer})
	if err != nil {
		return ocrtypes.ContractConfig{}, fmt.Errorf("encode the feed's range of answers: %w", err)
	}
	config := ocrtypes.ContractConfig{
		ConfigDigest: state.ConfigDigest, ConfigCount: uint64(state.ConfigCount), F: state.F, OnchainConfig: onchain,
		OffchainConfigVersion: state.OffchainVersion, OffchainConfig: state.OffchainConfig,
	}
	for _, oracle := range state.Oracles {
		config.Signers = append(config.Signers, oracle.Signer[:])
		config.Transmitters = append(config.Transmitters, ocrtypes.Account(oracle.Transmitter.String()))
	}
	return config, nil
}

func (f *Feed) offchainConfig(ctx context.Context, oracles []Oracle,
	timing Timing) (version uint64, offchain []byte, err error) {
	identities, err := ocr2.Identities(oracles, func(signer [20]byte) []byte { return signer[:] },
		solana.PublicKey.String)
	if err != nil {
		return 0, nil, err
	}
	return ocr2.OffchainConfig(ctx, identities, timing, f.min, f.max)
}

// proposalDigest is the digest that accepts a proposal, so that nobody can change the proposal before that.
func proposalDigest(oracles []proposedOracle, faulty uint8, mint solana.PublicKey, version uint64,
	offchain []byte) []byte {
	h := sha256.New()
	h.Write([]byte{uint8(len(oracles))})
	for _, oracle := range oracles {
		h.Write(oracle.signer[:])
		h.Write(oracle.transmitter[:])
		h.Write(oracle.payee[:])
	}
	h.Write([]byte{faulty})
	h.Write(mint[:])
	h.Write(binary.BigEndian.AppendUint64(nil, version))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(offchain))))
	h.Write(offchain)
	return h.Sum(nil)
}

// ConfigDigest is the digest of a configuration of a feed's state under the program. Transmitters must be base58 keys.
func ConfigDigest(program, state solana.PublicKey, config ocrtypes.ContractConfig) ocrtypes.ConfigDigest {
	h := sha256.New()
	h.Write(program[:])
	h.Write(state[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(config.ConfigCount)))
	h.Write([]byte{uint8(len(config.Signers))})
	for _, signer := range config.Signers {
		h.Write(signer)
	}
	for _, transmitter := range config.Transmitters {
		key, err := solana.PublicKeyFromBase58(string(transmitter))
		if err != nil {
			return ocrtypes.ConfigDigest{} // matches none
		}
		h.Write(key[:])
	}
	h.Write([]byte{config.F})
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(config.OnchainConfig))))
	h.Write(config.OnchainConfig)
	h.Write(binary.BigEndian.AppendUint64(nil, config.OffchainConfigVersion))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(config.OffchainConfig))))
	h.Write(config.OffchainConfig)
	digest := ocrtypes.ConfigDigest(h.Sum(nil))
	digest[0], digest[1] = 0, 3
	return digest
}
