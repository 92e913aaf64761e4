package keystore

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

var _ types.OffchainKeyring = (*OffchainKeyring)(nil)

// offchainSecretLength is an Ed25519 seed and an X25519 scalar. The on-chain secret with its algorithm follows them,
// and after it the id of a bundle that was imported.
const offchainSecretLength = ed25519.SeedSize + 32

// OCR2Bundle is the keys of an oracle on one relay.
type OCR2Bundle struct {
	redacted
	relay    string
	given    []byte // the id of a bundle that was imported; nil: it follows from the keys
	offchain *OffchainKeyring
	report   *ReportKey
}

// generateOCR2 makes a bundle's secret as it is sealed.
func generateOCR2(algorithm Algorithm) ([]byte, error) {
	onchain, err := algorithm.generate()
	if err != nil {
		return nil, err
	}
	return append(randomBytes(offchainSecretLength), algorithm.tagged(onchain)...), nil
}

func parseOCR2(relay string, sealed []byte, before func() (Algorithm, error)) (*OCR2Bundle, error) {
	if len(sealed) < offchainSecretLength {
		return nil, fmt.Errorf("the secret has %d bytes, fewer than %d", len(sealed), offchainSecretLength)
	}
	signing := ed25519.NewKeyFromSeed(sealed[:ed25519.SeedSize])
	encryption, err := ecdh.X25519().NewPrivateKey(sealed[ed25519.SeedSize:offchainSecretLength])
	if err != nil {
		return nil, err
	}
	onchain, given := sealed[offchainSecretLength:], []byte(nil)
	if len(onchain) == 1+secretLength+sha256.Size {
		onchain, given = onchain[:1+secretLength], bytes.Clone(onchain[1+secretLength:])
	}
	algorithm, secret, err := untag(onchain, before)
	if err != nil {
		return nil, err
	}
	key, err := algorithm.parse(secret)
	if err != nil {
		return nil, err
	}
	return &OCR2Bundle{
		relay:    relay,
		given:    given,
		offchain: &OffchainKeyring{signing: hide(signing), encryption: hide(encryption)},
		report:   &ReportKey{algorithm: algorithm, private: key},
	}, nil
}

// ID returns 32 bytes in hex: SHA-256 of the relay and the three public keys, so that one bundle cannot be mistaken for
// another. An imported bundle keeps the id of its file, by which job specs name it.
func (b *OCR2Bundle) ID() string {
	if b.given != nil {
		return hex.EncodeToString(b.given)
	}
	signing, encryption := b.offchain.OffchainPublicKey(), b.offchain.ConfigEncryptionPublicKey()
	hash := sha256.New()
	hash.Write([]byte(b.relay))
	hash.Write([]byte{0})
	hash.Write(signing[:])
	hash.Write(encryption[:])
	hash.Write(b.report.Public())
	return hex.EncodeToString(hash.Sum(nil))
}

// Relay returns the relay whose reports the bundle signs.
func (b *OCR2Bundle) Relay() string { return b.relay }

// Offchain returns the keyring that libocr uses among oracles.
func (b *OCR2Bundle) Offchain() *OffchainKeyring { return b.offchain }

// Report returns the on-chain key, which signs reports.
func (b *OCR2Bundle) Report() *ReportKey { return b.report }

// OCR2Description describes a bundle to people: each public key in the form that goes into a contract's configuration,
// ocr2off_<relay>_…, ocr2cfg_<relay>_…, ocr2on_<relay>_…, and as bare hex.
type OCR2Description struct {
	ID                   string `json:"id"`
	Relay                string `json:"relay"`
	OffchainPublicKey    string `json:"offchainPublicKey"`
	ConfigPublicKey      string `json:"configPublicKey"`
	OnchainPublicKey     string `json:"onchainPublicKey"`
	OffchainPublicKeyHex string `json:"offchainPublicKeyHex"`
	ConfigPublicKeyHex   string `json:"configPublicKeyHex"`
	OnchainPublicKeyHex  string `json:"onchainPublicKeyHex"`
}

// Description describes the bundle to people.
func (b *OCR2Bundle) Description() OCR2Description {
	signing, encryption := b.offchain.OffchainPublicKey(), b.offchain.ConfigEncryptionPublicKey()
	d := OCR2Description{
		ID:                   b.ID(),
		Relay:                b.relay,
		OffchainPublicKeyHex: hex.EncodeToString(signing[:]),
		ConfigPublicKeyHex:   hex.EncodeToString(encryption[:]),
		OnchainPublicKeyHex:  hex.EncodeToString(b.report.Public()),
	}
	d.OffchainPublicKey = "ocr2off_" + b.relay + "_" + d.OffchainPublicKeyHex
	d.ConfigPublicKey = "ocr2cfg_" + b.relay + "_" + d.ConfigPublicKeyHex
	d.OnchainPublicKey = "ocr2on_" + b.relay + "_" + d.OnchainPublicKeyHex
	return d
}

func (b *OCR2Bundle) describe() (identity, any) {
	return identity{kind: KindOCR2, relay: b.relay, id: b.ID()}, b.Description()
}

// OffchainKeyring is libocr's keyring for messages among oracles. It may be used concurrently.
type OffchainKeyring struct {
	redacted
	signing    hidden[ed25519.PrivateKey]
	encryption hidden[*ecdh.PrivateKey]
}

// OffchainSign returns an Ed25519 signature of 64 bytes.
func (o *OffchainKeyring) OffchainSign(message []byte) ([]byte, error) {
	return ed25519.Sign(o.signing(), message), nil
}

// ConfigDiffieHellman multiplies a point with the X25519 key. A point of low order is an error, since the result would
// protect nothing.
func (o *OffchainKeyring) ConfigDiffieHellman(point [32]byte) (shared [32]byte, err error) {
	public, err := ecdh.X25519().NewPublicKey(point[:])
	if err != nil {
		return shared, fmt.Errorf("share a secret with point %x: %w", point, err)
	}
	secret, err := o.encryption().ECDH(public)
	if err != nil {
		return shared, fmt.Errorf("share a secret with point %x: %w", point, err)
	}
	return [32]byte(secret), nil
}

// OffchainPublicKey verifies what OffchainSign returns.
func (o *OffchainKeyring) OffchainPublicKey() types.OffchainPublicKey {
	return types.OffchainPublicKey(o.signing().Public().(ed25519.PublicKey))
}

// ConfigEncryptionPublicKey returns the X25519 public key.
func (o *OffchainKeyring) ConfigEncryptionPublicKey() types.ConfigEncryptionPublicKey {
	return types.ConfigEncryptionPublicKey(o.encryption().PublicKey().Bytes())
}
