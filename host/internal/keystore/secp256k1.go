package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/crypto"
)

// hashLength is what a secp256k1 key signs.
const hashLength = 32

// secp256k1 is a key for ECDSA over secp256k1.
type secp256k1 struct {
	redacted
	key hidden[*ecdsa.PrivateKey]
}

func generateSecp256k1() ([]byte, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate a secp256k1 key: %w", err)
	}
	return crypto.FromECDSA(key), nil
}

func parseSecp256k1(secret []byte) (*secp256k1, error) {
	key, err := crypto.ToECDSA(secret)
	if err != nil {
		// The library's own words are about the number's range and could grow to quote it.
		return nil, fmt.Errorf("the secret of %d bytes is not a secp256k1 key", len(secret))
	}
	return &secp256k1{key: hide(key)}, nil
}

func (s *secp256k1) secret() []byte { return crypto.FromECDSA(s.key()) }

// public is the uncompressed point, 0x04, x and y.
func (s *secp256k1) public() []byte { return crypto.FromECDSAPub(&s.key().PublicKey) }

// reportPublic is the address: the last 20 bytes of the Keccak-256 hash of x and y.
func (s *secp256k1) reportPublic() []byte { return crypto.PubkeyToAddress(s.key().PublicKey).Bytes() }

// signData returns r, s and v (0 or 1), with s in the lower half.
func (s *secp256k1) signData(data []byte) ([]byte, error) {
	if len(data) != hashLength {
		return nil, fmt.Errorf("data has %d bytes, and a secp256k1 key signs a hash of %d: %w", len(data), hashLength,
			ErrInvalid)
	}
	return crypto.Sign(data, s.key())
}

func (s *secp256k1) signReport(message []byte) ([]byte, error) { return s.signData(message) }

// verifySecp256k1 recovers the signer's address, as contracts do.
func verifySecp256k1(public, message, signature []byte) bool {
	// The library recovers from v 2 and 3 too, which contracts refuse.
	if len(message) != hashLength || len(signature) != crypto.SignatureLength || signature[64] > 1 {
		return false
	}
	recovered, err := crypto.SigToPub(message, signature)
	return err == nil && bytes.Equal(public, crypto.PubkeyToAddress(*recovered).Bytes())
}
