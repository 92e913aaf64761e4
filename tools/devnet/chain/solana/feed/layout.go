package feed

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/gagliardetto/solana-go"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// Sizes and offsets of the accounts of the deployed programs.
const (
	stateSize    = 6920
	proposalSize = 5872
	ringOffset   = 200
	recordSize   = 48
	oracleSize   = 128

	stateF             = 272
	stateRound         = 273
	stateEpoch         = 276
	stateRoundID       = 280
	stateTransmitter   = 284
	stateConfigCount   = 316
	stateDigest        = 320
	stateConfigSlot    = 352
	stateOffchain      = 368
	stateOffchainBytes = 376
	stateOffchainLen   = 4472
	stateOracles       = 4480
	stateOracleLen     = 6912
	offchainCapacity   = stateOffchainLen - stateOffchainBytes

	feedVersion  = 8
	feedFlagged  = 9
	feedLatest   = 143
	feedLive     = 148
	feedCursor   = 152
	feedVersion2 = 2
)

// State is the content of a feed's state account.
type State struct {
	F, Round              uint8
	Epoch, RoundID        uint32
	LatestTransmitter     solana.PublicKey
	ConfigCount           uint32
	ConfigDigest          ocrtypes.ConfigDigest
	ConfigSlot            uint64
	OffchainVersion       uint64
	OffchainConfig        []byte
	Oracles               []OracleState
	VaultBump             uint8
	MinAnswer, MaxAnswer  *big.Int
	Transmissions         solana.PublicKey
	TokenMint, TokenVault solana.PublicKey
	TransmissionGjuels    uint32
	ObservationGjuels     uint32
}

// OracleState is an oracle in a feed's state.
type OracleState struct {
	Signer        [20]byte
	Transmitter   solana.PublicKey
	Payee         solana.PublicKey
	FromRoundID   uint32
	PaymentGjuels uint64
}

// DecodeState reads the account of a feed's state.
func DecodeState(data []byte) (State, error) {
	if len(data) != stateSize || !bytes.HasPrefix(data, discriminator("account:State")) || data[8] != 1 {
		return State{}, fmt.Errorf("the account of %d bytes is not a state of version 1", len(data))
	}
	le := binary.LittleEndian
	s := State{
		VaultBump: data[9], Transmissions: solana.PublicKey(data[16:48]), TokenMint: solana.PublicKey(data[112:144]),
		TokenVault: solana.PublicKey(data[144:176]), MinAnswer: signed(data[240:256]), MaxAnswer: signed(data[256:272]),
		F: data[stateF], Round: data[stateRound], Epoch: le.Uint32(data[stateEpoch:]),
		RoundID:           le.Uint32(data[stateRoundID:]),
		LatestTransmitter: solana.PublicKey(data[stateTransmitter : stateTransmitter+32]),
		ConfigCount:       le.Uint32(data[stateConfigCount:]),
		ConfigDigest:      ocrtypes.ConfigDigest(data[stateDigest : stateDigest+32]),
		ConfigSlot:        le.Uint64(data[stateConfigSlot:]), OffchainVersion: le.Uint64(data[stateOffchain:]),
		ObservationGjuels: le.Uint32(data[360:]), TransmissionGjuels: le.Uint32(data[364:]),
	}
	length, oracles := le.Uint64(data[stateOffchainLen:]), le.Uint64(data[stateOracleLen:])
	if length > offchainCapacity || oracles > MaxOracles {
		return State{}, fmt.Errorf("the state counts %d bytes of off-chain configuration and %d oracles, more than it has "+
			"room for", length, oracles)
	}
	s.OffchainConfig = bytes.Clone(data[stateOffchainBytes : stateOffchainBytes+length])
	for i := range oracles {
		at := data[stateOracles+oracleSize*i:]
		s.Oracles = append(s.Oracles, OracleState{
			Transmitter: solana.PublicKey(at[:32]), Signer: [20]byte(at[32:52]), Payee: solana.PublicKey(at[52:84]),
			FromRoundID: le.Uint32(at[116:]), PaymentGjuels: le.Uint64(at[120:]),
		})
	}
	return s, nil
}

// Round is a round in the ring of a feed.
type Round struct {
	ID        uint32
	Slot      uint64
	Timestamp uint32
	Answer    *big.Int
}

// DecodeRounds reads the rounds in the ring of recent ones, the newest first, and whether the feed's flag is raised.
func DecodeRounds(data []byte) (rounds []Round, flagged bool, err error) {
	if len(data) < ringOffset || !bytes.HasPrefix(data, discriminator("account:Transmissions")) ||
		data[feedVersion] != feedVersion2 {
		return nil, false, fmt.Errorf("the account of %d bytes is not a feed of version 2", len(data))
	}
	le := binary.LittleEndian
	latest, live, cursor := le.Uint32(data[feedLatest:]), le.Uint32(data[feedLive:]), le.Uint32(data[feedCursor:])
	if live == 0 || cursor >= live || int(live) > (len(data)-ringOffset)/recordSize {
		return nil, false, fmt.Errorf("the feed's ring has %d rounds with the cursor at %d in %d bytes", live, cursor,
			len(data))
	}
	for age := range min(latest, live) {
		at := data[ringOffset+recordSize*int((cursor+live-1-age)%live):]
		rounds = append(rounds, Round{
			ID: latest - age, Slot: le.Uint64(at), Timestamp: le.Uint32(at[8:]), Answer: signed(at[16:32]),
		})
	}
	return rounds, data[feedFlagged] == 1, nil
}

// signed reads an integer of 128 bits in little-endian two's complement.
func signed(le []byte) *big.Int {
	n := new(big.Int).SetBytes(reversed(le))
	if le[len(le)-1]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(le))))
	}
	return n
}
