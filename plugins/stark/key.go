package stark

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"

	starkcurve "github.com/consensys/gnark-crypto/ecc/stark-curve"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
	"github.com/consensys/gnark-crypto/ecc/stark-curve/fr"
)

// Key is a private key of the Stark curve: a number from 1 to the curve's order less 1. It prints as a placeholder.
//
// Its arithmetic takes time that depends on the key: gnark-crypto has no other. Whoever can measure single signatures
// of a process could learn from it.
type Key struct {
	secret *big.Int
	public Felt
}

// NewKey makes a key from a secret of 32 bytes, big-endian.
func NewKey(secret []byte) (*Key, error) {
	number := new(big.Int).SetBytes(secret)
	if len(secret) != fr.Bytes || number.Sign() == 0 || number.Cmp(fr.Modulus()) >= 0 {
		// Never the secret itself.
		return nil, fmt.Errorf("the secret of %d bytes is not a key of the Stark curve", len(secret))
	}
	return &Key{secret: number, public: abscissa(number)}, nil
}

// GenerateKey makes a key from random bytes.
func GenerateKey(random io.Reader) (*Key, error) {
	var secret [fr.Bytes]byte
	for {
		if _, err := io.ReadFull(random, secret[:]); err != nil {
			return nil, fmt.Errorf("generate a key of the Stark curve: %w", err)
		}
		secret[0] &= 0x0f // the order has 252 bits: about half of what is left is below it
		if key, err := NewKey(secret[:]); err == nil {
			return key, nil
		}
	}
}

// Secret returns the bytes from which NewKey makes the key.
func (k *Key) Secret() []byte { return k.secret.FillBytes(make([]byte, fr.Bytes)) }

// Public returns the x coordinate of the public key, which is all that Starknet knows of it.
func (k *Key) Public() Felt { return k.public }

// String implements fmt.Stringer.
func (*Key) String() string { return "[private key]" }

// GoString implements fmt.GoStringer.
func (*Key) GoString() string { return "[private key]" }

// Signature is an ECDSA signature on the Stark curve.
type Signature struct{ R, S Felt }

// Sign signs a hash, always with the same result (RFC 6979 with SHA-256, as StarkWare's libraries sign), and with S in
// the lower half.
func (k *Key) Sign(hash Felt) (Signature, error) {
	order := fr.Modulus()
	z := new(big.Int).Mod(hash.Big(), order)
	next := nonces(k.secret, z)
	for range 100 { // each fails with a chance of 2^-50
		nonce := next()
		r := abscissa(nonce)
		number := r.Big()
		s := new(big.Int).Mul(number, k.secret)
		s.Add(s, z).Mul(s, nonce.ModInverse(nonce, order)).Mod(s, order)
		if number.Sign() == 0 || number.Cmp(order) >= 0 || s.Sign() == 0 {
			continue
		}
		if isHigh(s) {
			s.Sub(order, s)
		}
		low, err := FromBig(s)
		return Signature{r, low}, err
	}
	return Signature{}, errors.New("the hash could not be signed: no nonce out of 100 served")
}

// Verify reports whether a signature over a hash belongs to the public key with that x coordinate, at either of its two
// points, as in a contract. It refuses S in the upper half, so that nobody can make a second signature from the first.
func Verify(public, hash Felt, signature Signature) bool {
	order := fr.Modulus()
	r, s := signature.R.Big(), signature.S.Big()
	if r.Sign() == 0 || r.Cmp(order) >= 0 || s.Sign() == 0 || isHigh(s) {
		return false
	}
	key, ok := lift(public)
	if !ok {
		return false
	}
	inverse := s.ModInverse(s, order)
	u := new(big.Int).Mod(hash.Big(), order)
	u.Mul(u, inverse).Mod(u, order)
	v := inverse.Mul(inverse, r).Mod(inverse, order)
	var base, own, sum, difference starkcurve.G1Jac
	generator, _ := starkcurve.Generators()
	base.ScalarMultiplication(&generator, u)
	own.FromAffine(&key)
	own.ScalarMultiplication(&own, v)
	sum, difference = base, base
	sum.AddAssign(&own)
	difference.SubAssign(&own)
	return x(&sum) == signature.R || x(&difference) == signature.R
}

// isHigh reports whether s is above half of the order.
func isHigh(s *big.Int) bool { return s.Cmp(new(big.Int).Rsh(fr.Modulus(), 1)) > 0 }

// lift is a point with that x coordinate, if the curve has one.
func lift(abscissa Felt) (starkcurve.G1Affine, bool) {
	p := starkcurve.G1Affine{X: abscissa.element}
	a, b := starkcurve.CurveCoefficients()
	var square fp.Element
	square.Square(&p.X)
	square.Add(&square, &a)
	square.Mul(&square, &p.X)
	square.Add(&square, &b)
	return p, p.Y.Sqrt(&square) != nil
}

// abscissa is the x coordinate of a multiple of the generator.
func abscissa(n *big.Int) Felt {
	generator, _ := starkcurve.Generators()
	var product starkcurve.G1Jac
	return x(product.ScalarMultiplication(&generator, n))
}

func x(p *starkcurve.G1Jac) Felt {
	var affine starkcurve.G1Affine
	affine.FromJacobian(p)
	return Felt{affine.X}
}

// nonces makes RFC 6979's sequence of candidates for a secret and a hash below the order.
func nonces(secret, z *big.Int) func() *big.Int {
	order := fr.Modulus()
	size := fr.Bytes
	seed := secret.FillBytes(make([]byte, size))
	seed = append(seed, z.FillBytes(make([]byte, size))...)
	key, value := make([]byte, sha256.Size), make([]byte, sha256.Size)
	for i := range value {
		value[i] = 1
	}
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	for _, round := range []byte{0, 1} {
		key = mac(value, []byte{round}, seed)
		value = mac(value)
	}
	return func() *big.Int {
		for {
			value = mac(value)
			candidate := new(big.Int).SetBytes(value)
			candidate.Rsh(candidate, uint(8*size-fr.Bits)) // the leftmost bits
			key = mac(value, []byte{0})
			value = mac(value)
			if candidate.Sign() > 0 && candidate.Cmp(order) < 0 {
				return candidate
			}
		}
	}
}
