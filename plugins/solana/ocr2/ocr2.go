// Package ocr2 is Solana's OCR2 program and its store as bytes: their accounts, the events that they log, the transmit
// instruction, reports and config digests.
//
// It makes no calls, and must not know nodes, jobs or keys. What it parses is untrusted.
package ocr2

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	sol "github.com/gagliardetto/solana-go"
)

// Lengths and limits of the programs (ocr_2 and store, of the deployed version 1.0).
const (
	// MaxOracles is how many oracles a configuration holds.
	MaxOracles = 19
	// MaxOffchainConfig is how long the off-chain configuration may be, in bytes.
	MaxOffchainConfig = 4096
	// SignerLength is the length of an on-chain public key, an address as on Ethereum.
	SignerLength = 20
	// SignatureLength is r, s and the recovery id (0 or 1).
	SignatureLength = 65

	discriminatorLength = 8
	keyLength           = 32
)

// discriminator begins accounts (space "account"), instructions ("global") and events ("event") of Anchor's programs.
func discriminator(space, name string) [discriminatorLength]byte {
	sum := sha256.Sum256([]byte(space + ":" + name))
	return [discriminatorLength]byte(sum[:discriminatorLength])
}

// StoreAuthority returns the address by which the program writes to a contract's feed, and its bump.
func StoreAuthority(program, state sol.PublicKey) (authority sol.PublicKey, bump uint8, err error) {
	return derived("store", program, state)
}

// VaultAuthority returns the address that owns a contract's vault, and its bump.
func VaultAuthority(program, state sol.PublicKey) (authority sol.PublicKey, bump uint8, err error) {
	return derived("vault", program, state)
}

func derived(seed string, program, state sol.PublicKey) (sol.PublicKey, uint8, error) {
	address, bump, err := sol.FindProgramAddress([][]byte{[]byte(seed), state[:]}, program)
	if err != nil {
		return sol.PublicKey{}, 0, fmt.Errorf("derive the %s authority of %s: %w", seed, state, err)
	}
	return address, bump, nil
}

// Refusal returns the name of a program's error from the number in a failed transaction's {"Custom": number}; empty if
// it is not the program's.
func Refusal(code uint64) string {
	const first = 6000 // of Anchor's errors that a program declares
	names := [...]string{
		"Unauthorized", "InvalidInput", "TooManyOracles", "StaleReport", "DigestMismatch", "WrongNumberOfSignatures",
		"Overflow", "MedianOutOfRange",
		"DuplicateSigner", "DuplicateTransmitter", "PayeeAlreadySet", "PayeeOracleMismatch", "InvalidTokenAccount",
		"UnauthorizedSigner", "UnauthorizedTransmitter",
	}
	if code < first || code-first >= uint64(len(names)) {
		return ""
	}
	return names[code-first]
}

// int128 reads 16 bytes, little-endian two's complement.
func int128(text []byte) *big.Int {
	reversed := make([]byte, 16)
	for i, b := range text[:16] {
		reversed[15-i] = b
	}
	return signed(reversed)
}

// signed reads big-endian two's complement.
func signed(text []byte) *big.Int {
	value := new(big.Int).SetBytes(text)
	if len(text) > 0 && text[0]&0x80 != 0 {
		value.Sub(value, new(big.Int).Lsh(big.NewInt(1), uint(8*len(text))))
	}
	return value
}

// putSigned writes big-endian two's complement into all of the text. It reports whether the value fits.
func putSigned(text []byte, value *big.Int) bool {
	if value == nil {
		return false
	}
	bits := uint(8 * len(text))
	magnitude := value
	if value.Sign() < 0 {
		magnitude = new(big.Int).Not(value)
	}
	if uint(magnitude.BitLen()) >= bits {
		return false
	}
	if value.Sign() < 0 {
		value = new(big.Int).Add(value, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	value.FillBytes(text)
	return true
}
