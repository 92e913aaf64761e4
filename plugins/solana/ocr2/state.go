package ocr2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	sol "github.com/gagliardetto/solana-go"
)

// Offsets of the State account (programs/ocr_2/src/state.rs of chainlink-solana).
const (
	// StateLength is the length of the account.
	StateLength = 6920
	// HeadLength is how many bytes of it ParseHead needs: everything before the off-chain configuration and the
	// oracles.
	HeadLength = 368

	stateVersion     = 1
	offchainAt       = 368
	offchainLengthAt = offchainAt + 8 + MaxOffchainConfig
	oraclesAt        = offchainLengthAt + 8
	oracleLength     = 128
	oraclesLengthAt  = oraclesAt + MaxOracles*oracleLength
)

// Head is the part of a contract's State that changes with each transmission.
type Head struct {
	// VaultNonce is the bump of the vault's authority.
	VaultNonce uint8
	// Feed is the account of the store to which the answers are written.
	Feed       sol.PublicKey
	Owner      sol.PublicKey
	TokenMint  sol.PublicKey
	TokenVault sol.PublicKey
	// MinAnswer and MaxAnswer bound what the contract accepts.
	MinAnswer, MaxAnswer *big.Int
	F                    uint8
	Epoch                uint32
	Round                uint8
	// RoundID counts transmissions.
	RoundID           uint32
	LatestTransmitter sol.PublicKey
	// ConfigCount counts configurations; 0 before the first.
	ConfigCount  uint32
	ConfigDigest [32]byte
	// ConfigSlot is the slot in which the latest configuration was accepted.
	ConfigSlot uint64
	// ObservationPayment and TransmissionPayment are what oracles earn, in gjuels.
	ObservationPayment, TransmissionPayment uint32
}

// Oracle is one oracle of a configuration.
type Oracle struct {
	Transmitter sol.PublicKey
	Signer      [SignerLength]byte
	Payee       sol.PublicKey
	// FromRoundID is the round from which observations are not paid yet, and Payment what else is owed, in gjuels.
	FromRoundID uint32
	Payment     uint64
}

// State is a contract's whole State.
type State struct {
	Head
	OffchainVersion uint64
	OffchainConfig  []byte
	// Oracles in ascending order of their signers.
	Oracles []Oracle
}

// ParseHead reads the beginning of a State account: HeadLength bytes or more.
func ParseHead(data []byte) (Head, error) {
	if len(data) < HeadLength {
		return Head{}, fmt.Errorf("the State account has %d bytes, and its head alone takes %d; check that it is an OCR2 "+
			"state", len(data), HeadLength)
	}
	if want := discriminator("account", "State"); [discriminatorLength]byte(data) != want {
		return Head{}, fmt.Errorf("the account begins with %x, and an OCR2 state with %x; check the job's contractID",
			data[:discriminatorLength], want)
	}
	if data[8] != stateVersion {
		return Head{}, fmt.Errorf("the State account has version %d, and only %d is known", data[8], stateVersion)
	}
	return Head{
		VaultNonce: data[9], Feed: key(data[16:]), Owner: key(data[48:]), TokenMint: key(data[112:]),
		TokenVault: key(data[144:]),
		MinAnswer:  int128(data[240:]), MaxAnswer: int128(data[256:]), F: data[272], Round: data[273],
		Epoch: binary.LittleEndian.Uint32(data[276:]), RoundID: binary.LittleEndian.Uint32(data[280:]),
		LatestTransmitter: key(data[284:]),
		ConfigCount:       binary.LittleEndian.Uint32(data[316:]), ConfigDigest: [32]byte(data[320:352]),
		ConfigSlot:          binary.LittleEndian.Uint64(data[352:]),
		ObservationPayment:  binary.LittleEndian.Uint32(data[360:]),
		TransmissionPayment: binary.LittleEndian.Uint32(data[364:]),
	}, nil
}

// ParseState reads a State account.
func ParseState(data []byte) (State, error) {
	if len(data) != StateLength {
		return State{}, fmt.Errorf("the State account has %d bytes, want %d; check that it is an OCR2 state", len(data),
			StateLength)
	}
	head, err := ParseHead(data)
	if err != nil {
		return State{}, err
	}
	length := binary.LittleEndian.Uint64(data[offchainLengthAt:])
	if length > MaxOffchainConfig {
		return State{}, fmt.Errorf("the State account says that its off-chain configuration has %d bytes, and holds at "+
			"most %d", length, MaxOffchainConfig)
	}
	count := binary.LittleEndian.Uint64(data[oraclesLengthAt:])
	if count > MaxOracles {
		return State{}, fmt.Errorf("the State account says that it has %d oracles, and holds at most %d", count, MaxOracles)
	}
	s := State{
		Head: head, OffchainVersion: binary.LittleEndian.Uint64(data[offchainAt:]),
		OffchainConfig: append([]byte(nil), data[offchainAt+8:offchainAt+8+length]...), Oracles: make([]Oracle, count),
	}
	for i := range s.Oracles {
		record := data[oraclesAt+i*oracleLength:]
		s.Oracles[i] = Oracle{
			Transmitter: key(record), Signer: [SignerLength]byte(record[32:52]), Payee: key(record[52:]),
			FromRoundID: binary.LittleEndian.Uint32(record[116:]), Payment: binary.LittleEndian.Uint64(record[120:]),
		}
	}
	return s, nil
}

// Config returns the configuration in the State.
func (s State) Config() (Config, error) {
	onchain, err := OnchainConfig(s.MinAnswer, s.MaxAnswer)
	if err != nil {
		return Config{}, err
	}
	c := Config{Count: s.ConfigCount, F: s.F, Onchain: onchain, OffchainVersion: s.OffchainVersion,
		Offchain: s.OffchainConfig}
	for _, o := range s.Oracles {
		c.Signers, c.Transmitters = append(c.Signers, o.Signer), append(c.Transmitters, o.Transmitter)
	}
	return c, nil
}

// OnchainConfig is libocr's standard encoding of the bounds of answers: the version 1 in a byte, then both as 24 bytes,
// big-endian.
func OnchainConfig(lowest, highest *big.Int) ([]byte, error) {
	encoded := make([]byte, 49)
	encoded[0] = 1
	if !putSigned(encoded[1:25], lowest) || !putSigned(encoded[25:], highest) {
		return nil, errors.New("the bounds of answers do not fit into 192 bits")
	}
	return encoded, nil
}

func key(data []byte) sol.PublicKey { return sol.PublicKey(data[:keyLength]) }
