// Package ocr2 is the common part of the feeds of all chains: their oracles, and the configuration of OCR2 on which
// these agree.
//
// It must not know of any chain.
package ocr2

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/confighelper"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
)

// MinOracles is the least number of oracles of a feed: fewer outvote no faulty one.
const MinOracles = 4

// Faulty is the number of faulty oracles that n oracles outvote: the largest f with 3f < n.
func Faulty(n int) int { return (n - 1) / 3 }

// Oracle is the public side of one node of a network. Each chain has its own kinds of signers and transmitters.
type Oracle[S, T any] struct {
	// PeerID is the node's identity on OCR2's network.
	PeerID string
	// OffchainPublicKey is the ed25519 key that signs messages, 32 bytes.
	OffchainPublicKey []byte
	// ConfigEncryptionPublicKey is the x25519 key for the configuration's secret, 32 bytes.
	ConfigEncryptionPublicKey []byte
	// Signer is the key that signs reports.
	Signer S
	// Transmitter is the account that sends reports.
	Transmitter T
}

// New makes an oracle with new keys for everything that is not the chain's, for tests that stand in for nodes.
func New[S, T any](signer S, transmitter T) (Oracle[S, T], error) {
	o := Oracle[S, T]{Signer: signer, Transmitter: transmitter}
	_, peer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return o, fmt.Errorf("make the key of a peer: %w", err)
	}
	peerID, err := ragetypes.PeerIDFromPrivateKey(peer)
	if err != nil {
		return o, fmt.Errorf("make the id of a peer: %w", err)
	}
	offchain, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return o, fmt.Errorf("make an off-chain key: %w", err)
	}
	encryption, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return o, fmt.Errorf("make a config encryption key: %w", err)
	}
	o.PeerID, o.OffchainPublicKey, o.ConfigEncryptionPublicKey = peerID.String(), offchain, encryption.PublicKey().Bytes()
	return o, nil
}

// Identities are oracles as libocr takes them: signer and transmitter give bytes and text as the chain has them.
func Identities[S, T any](
	oracles []Oracle[S, T], signer func(S) []byte, transmitter func(T) string,
) ([]confighelper.OracleIdentityExtra, error) {
	var all []confighelper.OracleIdentityExtra
	for i, oracle := range oracles {
		var identity confighelper.OracleIdentityExtra
		if n := len(oracle.OffchainPublicKey); n != len(identity.OffchainPublicKey) {
			return nil, fmt.Errorf("oracle %d: its offchain public key has %d bytes instead of 32", i, n)
		}
		if n := len(oracle.ConfigEncryptionPublicKey); n != len(identity.ConfigEncryptionPublicKey) {
			return nil, fmt.Errorf("oracle %d: its config encryption public key has %d bytes instead of 32", i, n)
		}
		copy(identity.OffchainPublicKey[:], oracle.OffchainPublicKey)
		copy(identity.ConfigEncryptionPublicKey[:], oracle.ConfigEncryptionPublicKey)
		identity.OnchainPublicKey = signer(oracle.Signer)
		identity.PeerID = oracle.PeerID
		identity.TransmitAccount = ocrtypes.Account(transmitter(oracle.Transmitter))
		all = append(all, identity)
	}
	return all, nil
}

// Turns lets one of n oracles at a time transmit.
func Turns(n int) []int {
	turns := make([]int, n)
	for i := range turns {
		turns[i] = 1
	}
	return turns
}
