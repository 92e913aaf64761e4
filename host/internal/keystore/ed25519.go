package keystore

import (
	"crypto/ed25519"
	"fmt"
)

// ed25519Key is a key for Ed25519.
type ed25519Key struct {
	redacted
	key hidden[ed25519.PrivateKey]
}

func parseEd25519(secret []byte) (*ed25519Key, error) {
	if len(secret) != ed25519.SeedSize {
		return nil, fmt.Errorf("the secret of %d bytes is not an Ed25519 seed", len(secret))
	}
	return &ed25519Key{key: hide(ed25519.NewKeyFromSeed(secret))}, nil
}

func (e *ed25519Key) secret() []byte { return e.key().Seed() }

func (e *ed25519Key) public() []byte { return e.key().Public().(ed25519.PublicKey) }

func (e *ed25519Key) reportPublic() []byte { return e.public() }

func (e *ed25519Key) signData(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("data is empty, and an Ed25519 key signs a message: %w", ErrInvalid)
	}
	return ed25519.Sign(e.key(), data), nil
}

// signReport returns public key and signature.
func (e *ed25519Key) signReport(message []byte) ([]byte, error) {
	signature, err := e.signData(message)
	if err != nil {
		return nil, err
	}
	return append(e.public()[:ed25519.PublicKeySize:ed25519.PublicKeySize], signature...), nil
}

func verifyEd25519(public, message, signature []byte) bool {
	const whole = ed25519.PublicKeySize + ed25519.SignatureSize
	return len(public) == ed25519.PublicKeySize && len(signature) == whole && len(message) > 0 &&
		string(public) == string(signature[:ed25519.PublicKeySize]) &&
		ed25519.Verify(public, message, signature[ed25519.PublicKeySize:])
}
