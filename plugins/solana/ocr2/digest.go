package ocr2

import (
	"crypto/sha256"
	"encoding/binary"

	sol "github.com/gagliardetto/solana-go"
)

// DigestPrefix is the first two bytes of every config digest of this chain, as a big-endian number (libocr's
// ConfigDigestPrefixSolana).
const DigestPrefix = 3

// Config is a configuration as far as its digest covers it.
type Config struct {
	Count           uint32
	Signers         [][SignerLength]byte
	Transmitters    []sol.PublicKey
	F               uint8
	Onchain         []byte
	OffchainVersion uint64
	Offchain        []byte
}

// Digest returns what the program computes when it accepts a configuration. There must be as many signers as
// transmitters, and at most 255.
func (c Config) Digest(program, state sol.PublicKey) [32]byte {
	hash := sha256.New()
	u32 := func(n uint32) { hash.Write(binary.BigEndian.AppendUint32(nil, n)) }
	hash.Write(program[:])
	hash.Write(state[:])
	u32(c.Count)
	hash.Write([]byte{byte(len(c.Signers))})
	for _, signer := range c.Signers {
		hash.Write(signer[:])
	}
	for _, transmitter := range c.Transmitters {
		hash.Write(transmitter[:])
	}
	hash.Write([]byte{c.F})
	u32(uint32(len(c.Onchain)))
	hash.Write(c.Onchain)
	hash.Write(binary.BigEndian.AppendUint64(nil, c.OffchainVersion))
	u32(uint32(len(c.Offchain)))
	hash.Write(c.Offchain)
	digest := [32]byte(hash.Sum(nil))
	binary.BigEndian.PutUint16(digest[:], DigestPrefix)
	return digest
}
