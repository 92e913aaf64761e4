package feed

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/tools/devnet/chain/starknet/chain"
)

// Oracle is the public side of one node of a network.
type Oracle struct {
	// PeerID is the node's identity on OCR2's network.
	PeerID string
	// OffchainPublicKey is the ed25519 key that signs messages, 32 bytes.
	OffchainPublicKey []byte
	// ConfigEncryptionPublicKey is the x25519 key for the configuration's secret, 32 bytes.
	ConfigEncryptionPublicKey []byte
	// Signer is the Stark key that signs reports.
	Signer stark.Felt
	// Transmitter is the account that sends reports: the address of its contract.
	Transmitter stark.Felt
}

// Member is an oracle with the private keys that a node would keep to itself, for tests that stand in for nodes.
type Member struct {
	Oracle
	SignerKey *stark.Key
	Account   chain.Account
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
	signer, err := stark.GenerateKey(rand.Reader)
	if err != nil {
		return Member{}, fmt.Errorf("make the key of a signer: %w", err)
	}
	account, err := chain.NewAccount()
	if err != nil {
		return Member{}, err
	}
	return Member{
		Oracle: Oracle{
			PeerID: peerID.String(), OffchainPublicKey: offchain, ConfigEncryptionPublicKey: encryption.PublicKey().Bytes(),
			Signer: signer.Public(), Transmitter: account.Address,
		},
		SignerKey: signer, Account: account,
	}, nil
}
