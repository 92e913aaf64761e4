package keystore

import (
	"crypto/rand"
	"fmt"

	"github.com/loop-plugins/loop/plugins/stark"
)

const (
	// starkWord is the length of a field element, of what a key signs and of each part of a signature.
	starkWord = 32
	// starkReportSignature is that of a report's signature: public key, r and s.
	starkReportSignature = 3 * starkWord
)

// starkKey is a key for ECDSA over the STARK curve.
type starkKey struct {
	redacted
	key hidden[*stark.Key]
}

func generateStark() ([]byte, error) {
	key, err := stark.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return key.Secret(), nil
}

func parseStark(secret []byte) (*starkKey, error) {
	key, err := stark.NewKey(secret)
	if err != nil {
		return nil, err
	}
	return &starkKey{key: hide(key)}, nil
}

func (s *starkKey) secret() []byte { return s.key().Secret() }

// public is the point's x coordinate, 32 bytes.
func (s *starkKey) public() []byte { return starkWords(s.key().Public()) }

func (s *starkKey) reportPublic() []byte { return s.public() }

// signData returns r and s, 32 bytes each, with s in the lower half.
func (s *starkKey) signData(data []byte) ([]byte, error) {
	if len(data) != starkWord {
		return nil, fmt.Errorf("data has %d bytes, and a key of the STARK curve signs a field element of %d: %w", len(data),
			starkWord, ErrInvalid)
	}
	element, err := stark.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("data is not a field element: %w: %w", err, ErrInvalid)
	}
	signature, err := s.key().Sign(element)
	if err != nil {
		return nil, err
	}
	return starkWords(signature.R, signature.S), nil
}

// signReport returns public key, r and s.
func (s *starkKey) signReport(message []byte) ([]byte, error) {
	signature, err := s.signData(message)
	if err != nil {
		return nil, err
	}
	return append(s.public(), signature...), nil
}

// verifyStark tells whether a signature is of the signer. One with s in the upper half is not.
func verifyStark(public, message, signature []byte) bool {
	if len(message) != starkWord || len(signature) != starkReportSignature ||
		string(public) != string(signature[:starkWord]) {
		return false
	}
	element, err := stark.FromBytes(message)
	if err != nil {
		return false
	}
	var parts [3]stark.Felt
	for i := range parts {
		if parts[i], err = stark.FromBytes(signature[i*starkWord : (i+1)*starkWord]); err != nil {
			return false
		}
	}
	return stark.Verify(parts[0], element, stark.Signature{R: parts[1], S: parts[2]})
}

func starkWords(felts ...stark.Felt) []byte {
	words := make([]byte, 0, len(felts)*starkWord)
	for _, f := range felts {
		word := f.Bytes()
		words = append(words, word[:]...)
	}
	return words
}
