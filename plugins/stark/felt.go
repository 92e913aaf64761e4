package stark

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/stark-curve/fp"
)

// Felt is an element of Starknet's field: a number from 0 to 2^251 + 17*2^192. The zero value is 0, and == compares.
type Felt struct{ element fp.Element }

// FromUint64 returns a number as an element.
func FromUint64(n uint64) Felt {
	var f Felt
	f.element.SetUint64(n)
	return f
}

// FromBytes returns the element for a big-endian number of at most 32 bytes. A number beyond the field is an error,
// since reducing it would give another number the same name.
func FromBytes(number []byte) (Felt, error) {
	if len(number) > fp.Bytes {
		return Felt{}, fmt.Errorf("%d bytes are more than the 32 of a field element", len(number))
	}
	var (
		f    Felt
		full [fp.Bytes]byte
	)
	copy(full[fp.Bytes-len(number):], number)
	if err := f.element.SetBytesCanonical(full[:]); err != nil {
		return Felt{}, errors.New("the number is not below 2^251 + 17*2^192 + 1, as field elements are")
	}
	return f, nil
}

// FromBig returns the element for a number that is neither negative nor beyond the field.
func FromBig(number *big.Int) (Felt, error) {
	if number.Sign() < 0 {
		return Felt{}, errors.New("the number is negative, and field elements are not")
	}
	return FromBytes(number.Bytes())
}

// ShortString returns the element for a text of at most 31 ASCII characters, such as a chain's name.
func ShortString(text string) (Felt, error) {
	if len(text) > fp.Bytes-1 {
		return Felt{}, fmt.Errorf("%d characters are more than the 31 of a short string", len(text))
	}
	for i := range len(text) {
		if text[i] >= 0x80 {
			return Felt{}, fmt.Errorf("character %d is not ASCII, as those of a short string are", i+1)
		}
	}
	return FromBytes([]byte(text))
}

// ParseFelt reads 0x and up to 64 hexadecimal digits.
func ParseFelt(text string) (Felt, error) {
	digits, found := strings.CutPrefix(text, "0x")
	if !found || digits == "" || len(digits) > 2*fp.Bytes || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return Felt{}, fmt.Errorf("%.80q is not a field element; write 0x and at most 64 hexadecimal digits", text)
	}
	number, _ := new(big.Int).SetString(digits, 16)
	f, err := FromBig(number)
	if err != nil {
		return Felt{}, fmt.Errorf("%q is not a field element: %w", text, err)
	}
	return f, nil
}

// Bytes returns the number in 32 bytes, big-endian.
func (f Felt) Bytes() [32]byte { return f.element.Bytes() }

// Big returns the number.
func (f Felt) Big() *big.Int { return f.element.BigInt(new(big.Int)) }

// Uint64 returns the number, if it has at most 64 bits.
func (f Felt) Uint64() (n uint64, ok bool) { return f.element.Uint64(), f.element.IsUint64() }

// IsZero reports whether the number is 0.
func (f Felt) IsZero() bool { return f == Felt{} }

// String returns 0x and the number in hexadecimal without leading zeros: the form of the JSON-RPC and of accounts in a
// contract's configuration.
func (f Felt) String() string { return "0x" + f.element.Text(16) }

// MarshalText implements encoding.TextMarshaler.
func (f Felt) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Felt) UnmarshalText(text []byte) error {
	parsed, err := ParseFelt(string(text))
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}
