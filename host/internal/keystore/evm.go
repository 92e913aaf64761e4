package keystore

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// evmDigestLength is what an EVM account signs: a Keccak-256 hash.
const evmDigestLength = 32

func generateEVM() ([]byte, error) {
	private, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate a secp256k1 key: %w", err)
	}
	return crypto.FromECDSA(private), nil
}

func parseEVM(secret []byte) (*ecdsa.PrivateKey, error) {
	private, err := crypto.ToECDSA(secret)
	if err != nil {
		// The library's own words are about the number's range and could grow to
		// quote it.
		return nil, fmt.Errorf("the secret of %d bytes is no secp256k1 key", len(secret))
	}
	return private, nil
}

// evmAccount signs transactions of an EVM chain.
type evmAccount struct {
	redacted
	private hidden[*ecdsa.PrivateKey]
}

// name is the address with the checksum of EIP-55.
func (e *evmAccount) name() string { return crypto.PubkeyToAddress(e.private().PublicKey).Hex() }

func (e *evmAccount) sign(data []byte) ([]byte, error) {
	if len(data) != evmDigestLength {
		return nil, fmt.Errorf("data has %d bytes, and an EVM account signs a hash of %d: %w", len(data), evmDigestLength, ErrInvalid)
	}
	return crypto.Sign(data, e.private())
}

// evmOnchain signs reports with a key of Ethereum's kind, as OCR2Aggregator on an EVM chain verifies them and, with another
// hash, Solana's OCR2 program.
type evmOnchain struct {
	redacted
	private hidden[*ecdsa.PrivateKey]
	address common.Address
	hash    reportHash
}

// reportHash is what is signed of a report.
type reportHash func(at types.ReportContext, report types.Report) ([]byte, error)

func parseEVMOnchain(secret []byte, hash reportHash) (*evmOnchain, error) {
	private, err := parseEVM(secret)
	if err != nil {
		return nil, err
	}
	return &evmOnchain{private: hide(private), address: crypto.PubkeyToAddress(private.PublicKey), hash: hash}, nil
}

// PublicKey is the signer's address, 20 bytes.
func (e *evmOnchain) PublicKey() types.OnchainPublicKey { return e.address.Bytes() }

// MaxSignatureLength is the length of every signature: r, s and v.
func (e *evmOnchain) MaxSignatureLength() int { return crypto.SignatureLength }

// Sign returns r, s and v (0 or 1; the contract on an EVM chain adds 27) over the report's hash.
func (e *evmOnchain) Sign(at types.ReportContext, report types.Report) ([]byte, error) {
	hash, err := e.hash(at, report)
	var signature []byte
	if err == nil {
		signature, err = crypto.Sign(hash, e.private())
	}
	if err != nil {
		return nil, fmt.Errorf("sign the report of config %s, epoch %d, round %d: %w", at.ConfigDigest, at.Epoch, at.Round, err)
	}
	return signature, nil
}

// Verify recovers the signer's address, as the contract does.
func (e *evmOnchain) Verify(signer types.OnchainPublicKey, at types.ReportContext, report types.Report, signature []byte) bool {
	// The library recovers from v 2 and 3 too, which the contract refuses.
	if len(signature) != crypto.SignatureLength || signature[64] > 1 {
		return false
	}
	hash, err := e.hash(at, report)
	if err != nil {
		return false
	}
	public, err := crypto.SigToPub(hash, signature)
	if err != nil {
		return false
	}
	return bytes.Equal(signer, crypto.PubkeyToAddress(*public).Bytes())
}

// evmReportHash is keccak256(keccak256(report) || w0 || w1 || w2) with three words
// of context: the config digest; 27 zero bytes, the epoch and the round; the extra
// hash.
func evmReportHash(at types.ReportContext, report types.Report) ([]byte, error) {
	var epochAndRound [32]byte
	binary.BigEndian.PutUint32(epochAndRound[27:], at.Epoch)
	epochAndRound[31] = at.Round
	return crypto.Keccak256(crypto.Keccak256(report), at.ConfigDigest[:], epochAndRound[:], at.ExtraHash[:]), nil
}
