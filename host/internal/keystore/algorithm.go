package keystore

import (
	"crypto/ed25519"
	"fmt"
)

// Algorithm is how a key signs. The keystore implements the algorithms; the relayer says which of them its accounts and
// reports use.
type Algorithm byte

// The algorithms. Their numbers are part of what is sealed.
const (
	// Secp256k1 is ECDSA over secp256k1.
	Secp256k1 Algorithm = 1 + iota
	// Ed25519 is the algorithm of RFC 8032.
	Ed25519
	// Stark is ECDSA over the STARK curve.
	Stark
)

// String returns the algorithm's name.
func (a Algorithm) String() string {
	switch a {
	case Secp256k1:
		return "secp256k1"
	case Ed25519:
		return "Ed25519"
	case Stark:
		return "STARK curve"
	default:
		return fmt.Sprintf("algorithm %d", byte(a))
	}
}

// private is a key's secret half.
type private interface {
	// public is the key as the relayer's contract has it, see Account.PublicKey.
	public() []byte
	// signData signs for an account, see Account.Sign.
	signData(data []byte) ([]byte, error)
	// reportPublic and signReport are the on-chain key's, see ReportKey.
	reportPublic() []byte
	signReport(message []byte) ([]byte, error)
	// secret is what parse takes.
	secret() []byte
}

// generate makes a secret of 32 bytes.
func (a Algorithm) generate() ([]byte, error) {
	switch a {
	case Secp256k1:
		return generateSecp256k1()
	case Ed25519:
		return randomBytes(ed25519.SeedSize), nil
	case Stark:
		return generateStark()
	default:
		return nil, a.unknown()
	}
}

func (a Algorithm) parse(secret []byte) (private, error) {
	switch a {
	case Secp256k1:
		return parseSecp256k1(secret)
	case Ed25519:
		return parseEd25519(secret)
	case Stark:
		return parseStark(secret)
	default:
		return nil, a.unknown()
	}
}

func (a Algorithm) unknown() error {
	return fmt.Errorf("%s is not known here, only %s, %s and %s are: %w", a, Secp256k1, Ed25519, Stark, ErrInvalid)
}

// secretLength is that of the secrets of all algorithms.
const secretLength = 32

// tagged puts the algorithm before a secret, as it is sealed.
func (a Algorithm) tagged(secret []byte) []byte { return append([]byte{byte(a)}, secret...) }

// untag splits the result of tagged. A secret that was sealed without an algorithm has the one that its relay had then.
func untag(sealed []byte, before func() (Algorithm, error)) (Algorithm, []byte, error) {
	switch len(sealed) {
	case secretLength:
		a, err := before()
		return a, sealed, err
	case 1 + secretLength:
		return Algorithm(sealed[0]), sealed[1:], nil
	default:
		return 0, nil, fmt.Errorf("the secret has %d bytes, not %d", len(sealed), 1+secretLength)
	}
}
