package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	"github.com/gagliardetto/solana-go"
)

// discriminator is how Anchor tells instructions ("global:…"), accounts ("account:…") and events ("event:…") apart.
func discriminator(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:8]
}

// instruction is a call of a program by the name of its instruction; parts are its arguments in Borsh.
func instruction(program solana.PublicKey, name string, accounts []*solana.AccountMeta,
	parts ...[]byte) solana.Instruction {
	data := discriminator("global:" + name)
	for _, part := range parts {
		data = append(data, part...)
	}
	return solana.NewInstruction(program, accounts, data)
}

//nolint:unparam // the parameters are the program's
func createFeed(feed, authority solana.PublicKey, text string, decimals, every uint8, live uint32) solana.Instruction {
	return instruction(StoreProgram, "create_feed",
		[]*solana.AccountMeta{solana.Meta(feed).WRITE(), solana.Meta(authority).SIGNER()},
		vec([]byte(text)), []byte{decimals, every}, u32(live))
}

// ownFeed are the accounts of an instruction that only the feed's owner may send.
func ownFeed(feed, owner solana.PublicKey) []*solana.AccountMeta {
	return []*solana.AccountMeta{solana.Meta(feed).WRITE(), solana.Meta(owner), solana.Meta(owner).SIGNER()}
}

func setWriter(feed, owner, writer solana.PublicKey) solana.Instruction {
	return instruction(StoreProgram, "set_writer", ownFeed(feed, owner), writer[:])
}

func setValidatorConfig(feed, owner solana.PublicKey, threshold uint32) solana.Instruction {
	return instruction(StoreProgram, "set_validator_config", ownFeed(feed, owner), u32(threshold))
}

func (f *Feed) initialize() solana.Instruction {
	return instruction(OCR2Program, "initialize", []*solana.AccountMeta{
		solana.Meta(f.State).WRITE(), solana.Meta(f.Transmissions), solana.Meta(f.owner.PublicKey()).SIGNER(),
		solana.Meta(f.TokenMint),
		solana.Meta(f.TokenVault), solana.Meta(f.VaultAuthority), solana.Meta(f.RequesterAccess),
		solana.Meta(f.BillingAccess),
	}, i128(f.min), i128(f.max))
}

func (f *Feed) createProposal(proposal solana.PublicKey, version uint64) solana.Instruction {
	return instruction(OCR2Program, "create_proposal", f.ownProposal(proposal), u64(version))
}

func (f *Feed) writeOffchainConfig(proposal solana.PublicKey, part []byte) solana.Instruction {
	return instruction(OCR2Program, "write_offchain_config", f.ownProposal(proposal), vec(part))
}

func (f *Feed) proposeConfig(proposal solana.PublicKey, oracles []proposedOracle, faulty uint8) solana.Instruction {
	arguments := u32(uint32(len(oracles)))
	for _, oracle := range oracles {
		arguments = append(append(arguments, oracle.signer[:]...), oracle.transmitter[:]...)
	}
	return instruction(OCR2Program, "propose_config", f.ownProposal(proposal), arguments, []byte{faulty})
}

func (f *Feed) proposePayees(proposal solana.PublicKey, oracles []proposedOracle) solana.Instruction {
	accounts := f.ownProposal(proposal)
	for _, oracle := range oracles {
		accounts = append(accounts, solana.Meta(oracle.payee))
	}
	return instruction(OCR2Program, "propose_payees", accounts, f.TokenMint[:])
}

func (f *Feed) finalizeProposal(proposal solana.PublicKey) solana.Instruction {
	return instruction(OCR2Program, "finalize_proposal", f.ownProposal(proposal))
}

func (f *Feed) acceptProposal(proposal solana.PublicKey, digest []byte, receiver solana.PublicKey,
	payees []solana.PublicKey) solana.Instruction {
	owner := f.owner.PublicKey()
	accounts := []*solana.AccountMeta{
		solana.Meta(f.State).WRITE(), solana.Meta(proposal).WRITE(), solana.Meta(owner).WRITE(), solana.Meta(owner).SIGNER(),
		solana.Meta(receiver).WRITE(), solana.Meta(f.TokenVault).WRITE(), solana.Meta(f.VaultAuthority),
		solana.Meta(solana.TokenProgramID),
	}
	for _, payee := range payees {
		accounts = append(accounts, solana.Meta(payee).WRITE())
	}
	return instruction(OCR2Program, "accept_proposal", accounts, vec(digest))
}

func (f *Feed) ownProposal(proposal solana.PublicKey) []*solana.AccountMeta {
	return []*solana.AccountMeta{solana.Meta(proposal).WRITE(), solana.Meta(f.owner.PublicKey()).SIGNER()}
}

func u32(n uint32) []byte     { return binary.LittleEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte     { return binary.LittleEndian.AppendUint64(nil, n) }
func vec(bytes []byte) []byte { return append(u32(uint32(len(bytes))), bytes...) }
func i128(n *big.Int) []byte  { return reversed(twosComplement(n, 16)) }
func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

// twosComplement writes n in so many bytes, big-endian.
func twosComplement(n *big.Int, size int) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(make([]byte, size))
}
