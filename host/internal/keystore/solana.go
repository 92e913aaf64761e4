package keystore

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mr-tron/base58"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// solanaAccount signs transactions of a Solana chain.
type solanaAccount struct {
	redacted
	private hidden[ed25519.PrivateKey]
}

func parseSolana(secret []byte) (*solanaAccount, error) {
	if len(secret) != ed25519.SeedSize {
		return nil, fmt.Errorf("the secret of %d bytes is no Ed25519 seed", len(secret))
	}
	return &solanaAccount{private: hide(ed25519.NewKeyFromSeed(secret))}, nil
}

// name is the public key in base58.
func (s *solanaAccount) name() string {
	return base58.Encode(s.private().Public().(ed25519.PublicKey))
}

func (s *solanaAccount) sign(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("data is empty, and a Solana account signs a transaction's message: %w", ErrInvalid)
	}
	return ed25519.Sign(s.private(), data), nil
}

// solanaReportHash is sha256(length of the report in a byte || report || w0 || w1 || w2) with the same three words of
// context as on EVM chains. Without the length it is the hash of other tools, which no deployed program takes.
func solanaReportHash(at types.ReportContext, report types.Report) ([]byte, error) {
	const longest = 255
	if len(report) > longest {
		return nil, errors.New("the report is longer than its length's byte can say")
	}
	var epochAndRound [32]byte
	binary.BigEndian.PutUint32(epochAndRound[27:], at.Epoch)
	epochAndRound[31] = at.Round
	hash := sha256.New()
	hash.Write([]byte{byte(len(report))})
	hash.Write(report)
	hash.Write(at.ConfigDigest[:])
	hash.Write(epochAndRound[:])
	hash.Write(at.ExtraHash[:])
	return hash.Sum(nil), nil
}
