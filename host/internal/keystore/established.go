package keystore

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Established OCR2 nodes keep each kind of key in a file of its own form: JSON with a keyType, the public parts, and
// the secret in the envelope of wallets' files, whose password has the kind before it.

// libp2pHead is protobuf's before the 64 bytes of an Ed25519 key in the file of a peer's key.
var libp2pHead = []byte{8, 1, 18, 64}

const (
	ocr2Prefix = "ocr2key"
	p2pPrefix  = "p2pkey"
)

// FileForm is how an established node writes the accounts of a relay.
type FileForm struct {
	// KeyType is the type in the file. Empty means the relay's name.
	KeyType string
	// Prefix comes before the password. Empty means the relay's name and key.
	Prefix string
}

// establishedFile is a file with any of the keys. Fields that its kind does not have are empty.
type establishedFile struct {
	KeyType           string    `json:"keyType"`
	ChainType         string    `json:"chainType,omitempty"`
	ID                string    `json:"id,omitempty"`
	OnchainPublicKey  string    `json:"onchainPublicKey,omitempty"`
	OffchainPublicKey string    `json:"offchainPublicKey,omitempty"`
	ConfigPublicKey   string    `json:"configPublicKey,omitempty"`
	PublicKey         string    `json:"publicKey,omitempty"`
	PeerID            string    `json:"peerID,omitempty"`
	Crypto            *envelope `json:"crypto"`
}

// readEstablished makes a key from an established node's file, and the secret to be sealed.
func readEstablished(ctx context.Context, keyType string, text []byte, password Password,
	relays Relays) (key, []byte, error) {
	var file establishedFile
	err := decodeFile(text, &file)
	if err == nil && file.Crypto == nil {
		err = errors.New("crypto is missing")
	}
	if err == nil {
		err = file.Crypto.check(0)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	switch keyType {
	case KindP2P:
		return file.p2p(password)
	case KindOCR2:
		relay, ok := relays.Of(strings.ToLower(file.ChainType))
		if !ok {
			return nil, nil, fmt.Errorf("chainType is %.32q, and this node has no such relay: %w", file.ChainType, ErrInvalid)
		}
		return file.ocr2(relay, password)
	default:
		relay, ok := relays.Of(keyType)
		if !ok {
			return nil, nil, fmt.Errorf("keyType is %.32q, and this node has no such relay: %w", file.KeyType, ErrInvalid)
		}
		return file.account(ctx, relay, password)
	}
}

// open decrypts what the file holds. The kind of key stands before the password.
func (f *establishedFile) open(prefix string, password Password) ([]byte, error) {
	whole := password.after(prefix)
	defer whole.Clear()
	return f.Crypto.open(whole)
}

func (f *establishedFile) p2p(password Password) (key, []byte, error) {
	secret, err := f.open(p2pPrefix, password)
	if err != nil {
		return nil, nil, err
	}
	defer clear(secret)
	seed, err := seedOf(bytes.TrimPrefix(secret, libp2pHead))
	if err != nil {
		return nil, nil, err
	}
	made, err := parseP2P(seed)
	if err == nil && !same(f.PeerID, strings.TrimPrefix(f.PeerID, "p2p_"), made.ID()) {
		err = fmt.Errorf("peerID is %.80q, but the key is that of %s: %w", f.PeerID, made.ID(), ErrInvalid)
	}
	return made, seed, err
}

// ocr2Secret is the plaintext of a bundle's file. The on-chain secret has had names of relays before it was called
// Keyring.
type ocr2Secret struct {
	ChainType       string
	OffchainKeyring []byte
	Keyring         []byte
}

func (f *establishedFile) ocr2(relay Wanted, password Password) (key, []byte, error) {
	text, err := f.open(ocr2Prefix, password)
	if err != nil {
		return nil, nil, err
	}
	defer clear(text)
	offchain, onchain, err := ocr2Secrets(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	defer clear(onchain)
	seed, err := seedOf(offchain[:ed25519.PrivateKeySize])
	if err != nil {
		return nil, nil, err
	}
	id, err := hex.DecodeString(f.ID)
	if err != nil || len(id) != sha256.Size {
		return nil, nil, fmt.Errorf("id is %.80q, and a bundle's has 64 hexadecimal digits: %w", f.ID, ErrInvalid)
	}
	sealed := append(append(seed, offchain[ed25519.PrivateKeySize:]...), relay.Report.tagged(onchain)...)
	made, err := parseOCR2(relay.Relay, append(sealed, id...), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	described := made.Description()
	for _, public := range []struct{ name, said, is string }{
		{"offchainPublicKey", f.OffchainPublicKey, described.OffchainPublicKeyHex},
		{"configPublicKey", f.ConfigPublicKey, described.ConfigPublicKeyHex},
		{"onchainPublicKey", f.OnchainPublicKey, described.OnchainPublicKeyHex},
	} {
		// After the last _ of ocr2on_<relay>_…
		bare := public.said[strings.LastIndexByte(public.said, '_')+1:]
		if !same(public.said, strings.ToLower(strings.TrimPrefix(bare, "0x")), public.is) {
			return nil, nil, fmt.Errorf("%s is %.120q, but the key is that of %s: %w", public.name, public.said, public.is,
				ErrInvalid)
		}
	}
	return made, append(sealed, id...), nil
}

// ocr2Secrets takes a bundle's plaintext apart.
func ocr2Secrets(text []byte) (offchain, onchain []byte, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, nil, errors.New("what the file holds is not a bundle: it is not JSON")
	}
	for name, value := range fields {
		if !strings.HasSuffix(name, "Keyring") {
			continue
		}
		var keyring []byte
		if err := json.Unmarshal(value, &keyring); err != nil {
			return nil, nil, fmt.Errorf("%.32s in what the file holds is not base64", name)
		}
		switch {
		case name == "OffchainKeyring":
			offchain = keyring
		case len(keyring) > 0 && onchain == nil:
			onchain = keyring
		case len(keyring) > 0:
			return nil, nil, errors.New("what the file holds has two on-chain keys, and a bundle has one")
		}
	}
	if len(offchain) != ed25519.PrivateKeySize+32 || len(onchain) != secretLength {
		return nil, nil, fmt.Errorf("what the file holds has off-chain keys of %d bytes and an on-chain key of %d; a "+
			"bundle's have %d and %d",
			len(offchain), len(onchain), ed25519.PrivateKeySize+32, secretLength)
	}
	return offchain, onchain, nil
}

func (f *establishedFile) account(ctx context.Context, relay Wanted, password Password) (key, []byte, error) {
	secret, err := f.open(relay.File.prefix(relay.Relay), password)
	if err != nil {
		return nil, nil, err
	}
	defer clear(secret)
	bare := secret
	if relay.Account == Ed25519 {
		if bare, err = seedOf(secret); err != nil {
			return nil, nil, err
		}
	}
	made, err := newAccount(ctx, relay.Relay, relay.Account, bare, relay.Name)
	if err != nil {
		return nil, nil, err
	}
	public := hex.EncodeToString(made.PublicKey())
	said := strings.ToLower(strings.TrimPrefix(f.PublicKey, "0x"))
	if f.PublicKey != made.ID() && !same(f.PublicKey, strings.Repeat("0", max(0, len(public)-len(said)))+said, public) {
		return nil, nil, fmt.Errorf("publicKey is %.140q, but the key is that of %s: %w", f.PublicKey, made.ID(), ErrInvalid)
	}
	return made, relay.Account.tagged(bare), nil
}

// same tells whether a file's public part follows from the secret. The envelope's code does not cover all of it, so
// nothing else detects a damaged file.
func same(said, bare, is string) bool { return said != "" && bare == is }

// seedOf is the seed of an Ed25519 key whose public half stands behind it.
func seedOf(private []byte) ([]byte, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("what the file holds has %d bytes, and an Ed25519 key %d: %w", len(private),
			ed25519.PrivateKeySize, ErrInvalid)
	}
	seed := bytes.Clone(private[:ed25519.SeedSize])
	if !bytes.Equal(ed25519.NewKeyFromSeed(seed), private) {
		return nil, fmt.Errorf("what the file holds has a public half of another key: %w", ErrInvalid)
	}
	return seed, nil
}

func (f FileForm) prefix(relay string) string {
	if f.Prefix != "" {
		return f.Prefix
	}
	return relay + "key"
}

func (k *Keystore) sealP2P(p *P2PKey, password Password) ([]byte, error) {
	public := p.PublicKey()
	return k.sealFile(establishedFile{KeyType: "P2P", PublicKey: hex.EncodeToString(public[:]), PeerID: "p2p_" + p.ID()},
		p2pPrefix, append(bytes.Clone(libp2pHead), p.private()...), password)
}

func (k *Keystore) sealOCR2(b *OCR2Bundle, password Password) ([]byte, error) {
	private := append(bytes.Clone(b.offchain.signing()), b.offchain.encryption().Bytes()...)
	defer clear(private)
	text, err := json.Marshal(ocr2Secret{ChainType: b.relay, OffchainKeyring: private, Keyring: b.report.private.secret()})
	if err != nil {
		return nil, err
	}
	described := b.Description()
	return k.sealFile(establishedFile{
		KeyType: "OCR2", ChainType: b.relay, ID: b.ID(), OnchainPublicKey: described.OnchainPublicKey,
		OffchainPublicKey: described.OffchainPublicKey, ConfigPublicKey: described.ConfigPublicKey,
	}, ocr2Prefix, text, password)
}

func (k *Keystore) sealAccount(a *Account, relay Wanted, password Password) ([]byte, error) {
	secret := a.private.secret()
	if e, ok := a.private.(*ed25519Key); ok {
		secret = bytes.Clone(e.key())
	}
	keyType := relay.File.KeyType
	if keyType == "" {
		keyType = a.relay
	}
	return k.sealFile(establishedFile{KeyType: keyType, PublicKey: hex.EncodeToString(a.PublicKey())},
		relay.File.prefix(a.relay), secret, password)
}

// sealFile encrypts the secret, clears it, and writes the file.
func (k *Keystore) sealFile(file establishedFile, prefix string, secret []byte, password Password) ([]byte, error) {
	defer clear(secret)
	whole := password.after(prefix)
	defer whole.Clear()
	var err error
	if file.Crypto, err = sealEnvelope(secret, whole, k.cost); err != nil {
		return nil, err
	}
	return json.Marshal(file)
}
