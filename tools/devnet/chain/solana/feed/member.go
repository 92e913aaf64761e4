package feed

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/gagliardetto/solana-go"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
	"golang.org/x/crypto/sha3"
)

// Member is an oracle with the private keys that a node would keep to itself, for tests that stand in for nodes.
type Member struct {
	Oracle
	SignerKey      *secp256k1.PrivateKey
	TransmitterKey solana.PrivateKey
}

// NewMember makes an oracle with keys of its own.
func NewMember() (Member, error) {
	_, peer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a peer: %w", err)
	}
	peerID, err := ragetypes.PeerIDFromPrivateKey(peer)
	if err != nil {
		return Member{}, fmt.Errorf("make the id of a peer: %w", err)
	}
	offchain, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, fmt.Errorf("make an off-chain key: %w", err)
	}
	encryption, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, fmt.Errorf("make a config encryption key: %w", err)
	}
	signer, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a signer: %w", err)
	}
	transmitter, err := solana.NewRandomPrivateKey()
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a transmitter: %w", err)
	}
	return Member{
		Oracle: Oracle{
			PeerID: peerID.String(), OffchainPublicKey: offchain, ConfigEncryptionPublicKey: encryption.PublicKey().Bytes(),
			Signer: address(signer.PubKey()), Transmitter: transmitter.PublicKey(),
		},
		SignerKey: signer, TransmitterKey: transmitter,
	}, nil
}

// address is the last 20 bytes of the Keccak-256 of the key's two coordinates.
func address(key *secp256k1.PublicKey) [20]byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(key.SerializeUncompressed()[1:])
	return [20]byte(h.Sum(nil)[12:])
}
