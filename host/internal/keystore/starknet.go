package keystore

import (
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/sdk/go/stark"
)

const (
	// starknetWord is the length of a field element, of what an account signs and of each part of a signature.
	starknetWord = 32
	// starknetSignatureLength is that of a report's signature: public key, r and s.
	starknetSignatureLength = 3 * starknetWord
)

func generateStarknet() ([]byte, error) {
	key, err := stark.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return key.Secret(), nil
}

// starknetAccount signs transactions of a Starknet account. Which account that is, its contract decides: the key has no address.
type starknetAccount struct {
	redacted
	private hidden[*stark.Key]
}

func parseStarknet(secret []byte) (*starknetAccount, error) {
	key, err := stark.NewKey(secret)
	if err != nil {
		return nil, err
	}
	return &starknetAccount{private: hide(key)}, nil
}

// name is the public key, 0x and hexadecimal digits without leading zeros.
func (s *starknetAccount) name() string { return s.private().Public().String() }

// sameStarknet tells whether two texts are one public key.
func sameStarknet(a, b string) bool {
	one, err := stark.ParseFelt(a)
	if err != nil {
		return false
	}
	other, err := stark.ParseFelt(b)
	return err == nil && one == other
}

// sign returns r and s, 32 bytes each.
func (s *starknetAccount) sign(data []byte) ([]byte, error) {
	if len(data) != starknetWord {
		return nil, fmt.Errorf("data has %d bytes, and a Starknet account signs a hash of %d: %w", len(data), starknetWord, ErrInvalid)
	}
	hash, err := stark.FromBytes(data)
	if err != nil {
		return nil, fmt.Errorf("data is no transaction's hash: %w: %w", err, ErrInvalid)
	}
	signature, err := s.private().Sign(hash)
	if err != nil {
		return nil, err
	}
	return starknetWords(signature.R, signature.S), nil
}

func starknetWords(felts ...stark.Felt) []byte {
	words := make([]byte, 0, len(felts)*starknetWord)
	for _, f := range felts {
		word := f.Bytes()
		words = append(words, word[:]...)
	}
	return words
}

// starknetOnchain signs reports as the OCR2 aggregator on Starknet verifies them.
type starknetOnchain struct {
	redacted
	private hidden[*stark.Key]

	// The last report's hash: libocr has a signature of every oracle verified over the same one, and to hash it takes longer than
	// to verify.
	mutex  sync.Mutex
	at     types.ReportContext
	report string
	hash   stark.Felt
}

func parseStarknetOnchain(secret []byte) (*starknetOnchain, error) {
	key, err := stark.NewKey(secret)
	if err != nil {
		return nil, err
	}
	return &starknetOnchain{private: hide(key)}, nil
}

// PublicKey is the x coordinate of the public key, 32 bytes.
func (s *starknetOnchain) PublicKey() types.OnchainPublicKey {
	return starknetWords(s.private().Public())
}

// MaxSignatureLength is the length of every signature: public key, r and s.
func (s *starknetOnchain) MaxSignatureLength() int { return starknetSignatureLength }

// Sign returns public key, r and s over the report's hash, with s in the lower half.
func (s *starknetOnchain) Sign(at types.ReportContext, report types.Report) ([]byte, error) {
	hash, err := s.hashed(at, report)
	var signature stark.Signature
	if err == nil {
		signature, err = s.private().Sign(hash)
	}
	if err != nil {
		return nil, fmt.Errorf("sign the report of config %s, epoch %d, round %d: %w", at.ConfigDigest, at.Epoch, at.Round, err)
	}
	return starknetWords(s.private().Public(), signature.R, signature.S), nil
}

// Verify tells whether a signature is of the signer. One with s in the upper half is none.
func (s *starknetOnchain) Verify(signer types.OnchainPublicKey, at types.ReportContext, report types.Report, signature []byte) bool {
	if len(signature) != starknetSignatureLength || string(signer) != string(signature[:starknetWord]) {
		return false
	}
	var parts [3]stark.Felt
	for i := range parts {
		var err error
		if parts[i], err = stark.FromBytes(signature[i*starknetWord : (i+1)*starknetWord]); err != nil {
			return false
		}
	}
	hash, err := s.hashed(at, report)
	return err == nil && stark.Verify(parts[0], hash, stark.Signature{R: parts[1], S: parts[2]})
}

func (s *starknetOnchain) hashed(at types.ReportContext, report types.Report) (stark.Felt, error) {
	s.mutex.Lock()
	known := s.report != "" && s.at == at && s.report == string(report)
	hash := s.hash
	s.mutex.Unlock()
	if known {
		return hash, nil
	}
	hash, err := starknetReportHash(at, report)
	if err != nil {
		return stark.Felt{}, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.at, s.report, s.hash = at, string(report), hash
	return hash, nil
}

// starknetReportHash is the Pedersen hash of the config digest, epoch and round, the extra hash without its first byte, and the
// report's words, the gas price among them.
func starknetReportHash(at types.ReportContext, report types.Report) (stark.Felt, error) {
	if len(report) == 0 || len(report)%starknetWord != 0 {
		return stark.Felt{}, fmt.Errorf("a report of %d bytes has no words of %d", len(report), starknetWord)
	}
	digest, err := stark.FromBytes(at.ConfigDigest[:])
	if err != nil {
		return stark.Felt{}, fmt.Errorf("the config digest: %w", err)
	}
	extra, err := stark.FromBytes(at.ExtraHash[1:])
	if err != nil {
		return stark.Felt{}, fmt.Errorf("the extra hash: %w", err)
	}
	elements := []stark.Felt{digest, stark.FromUint64(uint64(at.Epoch)<<8 | uint64(at.Round)), extra}
	for i := 0; i < len(report); i += starknetWord {
		word, err := stark.FromBytes(report[i : i+starknetWord])
		if err != nil {
			return stark.Felt{}, fmt.Errorf("word %d of the report: %w", i/starknetWord, err)
		}
		elements = append(elements, word)
	}
	return stark.PedersenArray(elements...), nil
}
