package feed

import (
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/gagliardetto/solana-go"
	"golang.org/x/crypto/sha3"

	"github.com/loop-plugins/loop/tools/devnet/chain/ocr2"
)

// Member is an oracle with the private keys that a node would keep to itself, for tests that stand in for nodes.
type Member struct {
	Oracle
	SignerKey      *secp256k1.PrivateKey
	TransmitterKey solana.PrivateKey
}

// NewMember makes an oracle with new keys.
func NewMember() (Member, error) {
	signer, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a signer: %w", err)
	}
	transmitter, err := solana.NewRandomPrivateKey()
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a transmitter: %w", err)
	}
	public, err := ocr2.New(address(signer.PubKey()), transmitter.PublicKey())
	if err != nil {
		return Member{}, err
	}
	return Member{Oracle: public, SignerKey: signer, TransmitterKey: transmitter}, nil
}

// address is the last 20 bytes of the Keccak-256 of the key's two coordinates.
func address(key *secp256k1.PublicKey) [20]byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(key.SerializeUncompressed()[1:])
	return [20]byte(h.Sum(nil)[12:])
}
