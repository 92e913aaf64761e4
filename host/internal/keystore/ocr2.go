package keystore

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

var _ types.OffchainKeyring = (*OffchainKeyring)(nil)

// offchainSecretLength is an Ed25519 seed and an X25519 scalar; the on-chain
// secret follows them.
const offchainSecretLength = ed25519.SeedSize + 32

// OCR2Bundle is the keys of an oracle for one kind of chain.
type OCR2Bundle struct {
	redacted
	chainKind string
	offchain  *OffchainKeyring
	onchain   types.OnchainKeyring
}

func generateOCR2(chainKind string) ([]byte, error) {
	onchain, err := generateOnchain(chainKind)
	if err != nil {
		return nil, err
	}
	return append(randomBytes(offchainSecretLength), onchain...), nil
}

func parseOCR2(chainKind string, secret []byte) (*OCR2Bundle, error) {
	if len(secret) < offchainSecretLength {
		return nil, fmt.Errorf("the secret has %d bytes, fewer than %d", len(secret), offchainSecretLength)
	}
	signing := ed25519.NewKeyFromSeed(secret[:ed25519.SeedSize])
	encryption, err := ecdh.X25519().NewPrivateKey(secret[ed25519.SeedSize:offchainSecretLength])
	if err != nil {
		return nil, err
	}
	onchain, err := parseOnchain(chainKind, secret[offchainSecretLength:])
	if err != nil {
		return nil, err
	}
	return &OCR2Bundle{
		chainKind: chainKind,
		offchain:  &OffchainKeyring{signing: hide(signing), encryption: hide(encryption)},
		onchain:   onchain,
	}, nil
}

// generateOnchain and parseOnchain are where a kind of chain decides its on-chain
// keyring.
func generateOnchain(chainKind string) ([]byte, error) {
	switch chainKind {
	case ChainEVM, ChainSolana:
		return generateEVM()
	case ChainStarknet:
		return generateStarknet()
	default:
		return nil, unknownChain(chainKind)
	}
}

func parseOnchain(chainKind string, secret []byte) (types.OnchainKeyring, error) {
	switch chainKind {
	case ChainEVM:
		return parseEVMOnchain(secret, evmReportHash)
	case ChainSolana:
		return parseEVMOnchain(secret, solanaReportHash)
	case ChainStarknet:
		return parseStarknetOnchain(secret)
	default:
		return nil, unknownChain(chainKind)
	}
}

// ID is 32 bytes in hex: SHA-256 of the chain kind and the three public keys, so
// that a bundle cannot pass for another.
func (b *OCR2Bundle) ID() string {
	signing, encryption := b.offchain.OffchainPublicKey(), b.offchain.ConfigEncryptionPublicKey()
	hash := sha256.New()
	hash.Write([]byte(b.chainKind))
	hash.Write([]byte{0})
	hash.Write(signing[:])
	hash.Write(encryption[:])
	hash.Write(b.onchain.PublicKey())
	return hex.EncodeToString(hash.Sum(nil))
}

// ChainKind is the kind of chain that the bundle signs reports for.
func (b *OCR2Bundle) ChainKind() string { return b.chainKind }

// Offchain is the keyring that libocr uses among oracles.
func (b *OCR2Bundle) Offchain() *OffchainKeyring { return b.offchain }

// Onchain is the keyring that libocr signs and verifies reports with.
func (b *OCR2Bundle) Onchain() types.OnchainKeyring { return b.onchain }

// OCR2Description describes a bundle to people: each public key in the form that
// goes into a contract's configuration, ocr2off_evm_…, ocr2cfg_evm_…, ocr2on_evm_…,
// and as bare hex.
type OCR2Description struct {
	ID                   string `json:"id"`
	ChainKind            string `json:"chainKind"`
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
		ChainKind:            b.chainKind,
		OffchainPublicKeyHex: hex.EncodeToString(signing[:]),
		ConfigPublicKeyHex:   hex.EncodeToString(encryption[:]),
		OnchainPublicKeyHex:  hex.EncodeToString(b.onchain.PublicKey()),
	}
	d.OffchainPublicKey = "ocr2off_" + b.chainKind + "_" + d.OffchainPublicKeyHex
	d.ConfigPublicKey = "ocr2cfg_" + b.chainKind + "_" + d.ConfigPublicKeyHex
	d.OnchainPublicKey = "ocr2on_" + b.chainKind + "_" + d.OnchainPublicKeyHex
	return d
}

func (b *OCR2Bundle) describe() (identity, any) {
	return identity{kind: KindOCR2, chainKind: b.chainKind, id: b.ID()}, b.Description()
}

// OffchainKeyring is libocr's keyring for what passes among oracles. It may be
// used concurrently.
type OffchainKeyring struct {
	redacted
	signing    hidden[ed25519.PrivateKey]
	encryption hidden[*ecdh.PrivateKey]
}

// OffchainSign returns an Ed25519 signature of 64 bytes.
func (o *OffchainKeyring) OffchainSign(message []byte) ([]byte, error) {
	return ed25519.Sign(o.signing(), message), nil
}

// ConfigDiffieHellman multiplies a point with the X25519 key. A point of low order
// is an error, as it would give away nothing and protect nothing.
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

// ConfigEncryptionPublicKey is the X25519 public key.
func (o *OffchainKeyring) ConfigEncryptionPublicKey() types.ConfigEncryptionPublicKey {
	return types.ConfigEncryptionPublicKey(o.encryption().PublicKey().Bytes())
}
