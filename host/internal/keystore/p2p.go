package keystore

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"

	ragetypes "github.com/smartcontractkit/libocr/ragep2p/types"
)

var _ ragetypes.PeerKeyring = (*P2PKey)(nil)

// P2PKey is the key of a node in libocr's network. networking.PeerConfig takes it as PeerKeyring.
type P2PKey struct {
	redacted
	private hidden[ed25519.PrivateKey]
	peerID  ragetypes.PeerID
}

func generateP2P() []byte { return randomBytes(ed25519.SeedSize) }

func parseP2P(seed []byte) (*P2PKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the secret has %d bytes, not %d", len(seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	peerID, err := ragetypes.PeerIDFromPrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &P2PKey{private: hide(private), peerID: peerID}, nil
}

// ID returns the peer id in its text form, 12D3KooW….
func (k *P2PKey) ID() string { return k.peerID.String() }

// PeerID returns the peer id in libocr's form.
func (k *P2PKey) PeerID() ragetypes.PeerID { return k.peerID }

// Sign returns an Ed25519 signature of 64 bytes.
func (k *P2PKey) Sign(message []byte) ([]byte, error) { return ed25519.Sign(k.private(), message), nil }

// PublicKey returns the key that verifies what Sign returns.
func (k *P2PKey) PublicKey() ragetypes.PeerPublicKey { return ragetypes.PeerPublicKey(k.peerID) }

// P2PDescription describes a P2P key to people.
type P2PDescription struct {
	PeerID string `json:"peerId"`
	// PublicKey is hex of 32 bytes.
	PublicKey string `json:"publicKey"`
}

func (k *P2PKey) describe() (identity, any) {
	return identity{kind: KindP2P, id: k.ID()},
		P2PDescription{PeerID: k.ID(), PublicKey: hex.EncodeToString(k.peerID[:])}
}
