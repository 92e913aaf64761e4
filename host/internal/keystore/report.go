package keystore

import "fmt"

// ReportKey is the on-chain key of a bundle. The relayer's contract decides what is signed of a report, and passes it
// as a message.
type ReportKey struct {
	redacted
	algorithm Algorithm
	private   private
}

// Algorithm returns how the key signs.
func (k *ReportKey) Algorithm() Algorithm { return k.algorithm }

// Public returns the key as a contract's configuration writes it: for Secp256k1 the address, 20 bytes; for Ed25519 the
// public key and for Stark the point's x coordinate, 32 bytes each.
func (k *ReportKey) Public() []byte { return k.private.reportPublic() }

// Sign signs what the contract has signed of a report: for Secp256k1 32 bytes, for Stark a field element in 32 bytes,
// for Ed25519 any bytes. The signature is r, s and v (0 or 1; s in the lower half), 65 bytes; public key, r and s (in
// the lower half), 96; or public key and signature, 96.
func (k *ReportKey) Sign(message []byte) ([]byte, error) {
	signature, err := k.private.signReport(message)
	if err != nil {
		return nil, fmt.Errorf("sign a report: %w", err)
	}
	return signature, nil
}

// MaxSignatureLength is the length of every signature of Sign.
func (a Algorithm) MaxSignatureLength() int {
	if a == Secp256k1 {
		return 65
	}
	return 96
}

// VerifyReport reports whether a signature is one that the ReportKey of a public key made of a message. None of the
// three is trusted, since they come from other oracles.
func (a Algorithm) VerifyReport(public, message, signature []byte) bool {
	switch a {
	case Secp256k1:
		return verifySecp256k1(public, message, signature)
	case Ed25519:
		return verifyEd25519(public, message, signature)
	case Stark:
		return verifyStark(public, message, signature)
	default:
		return false
	}
}
