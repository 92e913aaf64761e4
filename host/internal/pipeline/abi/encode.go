package abi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Encode encodes a value for each argument, by its name, after the function's selector if the signature has a name.
// Values have JSON's types, and numbers every type that number reads. Integers must be whole and fit. Addresses are 0x
// and 40 digits, or 20 bytes. Bytes are 0x and digits, bytes, or the bytes of a text. A tuple is a map by its fields'
// names, or a list.
func (s *Signature) Encode(values map[string]any, number Number) ([]byte, error) {
	parts := make([]part, len(s.arguments))
	for i, a := range s.arguments {
		value, ok := values[a.name]
		if !ok {
			return nil, fmt.Errorf("argument %s is missing", a.name)
		}
		encoded, err := encoder{number}.value(value, &a.shape)
		if err != nil {
			return nil, fmt.Errorf("argument %s%w", a.name, err)
		}
		parts[i] = part{encoded, a.shape.dynamic()}
	}
	var out []byte
	if s.name != "" {
		const selector = 4
		hash := s.hash()
		out = hash[:selector]
	}
	return join(out, parts), nil
}

// word is the length of everything in an encoding.
const word = 32

// part is an encoded value among others.
type part struct {
	encoded []byte
	dynamic bool // of a size that depends on the value
}

// join appends values side by side. Values of dynamic size come behind all others. In their places are their distances
// from the first value.
func join(to []byte, parts []part) []byte {
	offset := 0
	for _, p := range parts {
		if p.dynamic {
			offset += word
		} else {
			offset += len(p.encoded)
		}
	}
	for _, p := range parts {
		if p.dynamic {
			to = append(to, count(offset)...)
			offset += len(p.encoded)
		} else {
			to = append(to, p.encoded...)
		}
	}
	for _, p := range parts {
		if p.dynamic {
			to = append(to, p.encoded...)
		}
	}
	return to
}

// count is a length or an offset.
func count(n int) []byte { return big.NewInt(int64(n)).FillBytes(make([]byte, word)) }

// padded fills bytes up to whole words.
func padded(raw []byte) []byte {
	return append(raw[:len(raw):len(raw)], make([]byte, (word-len(raw)%word)%word)...)
}

// encoder makes the encoding of values.
type encoder struct{ number Number }

// value encodes one value. Its error is to follow the argument's name: it begins with a path into the argument, then a
// colon.
func (e encoder) value(value any, s *shape) ([]byte, error) {
	switch s.kind {
	case unsigned, signed:
		return e.integer(value, s)
	case boolean:
		yes, ok := value.(bool)
		if t, isText := value.(string); isText {
			b, err := strconv.ParseBool(t)
			yes, ok = b, err == nil
		}
		switch {
		case !ok:
			return nil, errors.New(": want true or false")
		case yes:
			return count(1), nil
		}
		return count(0), nil
	case text:
		switch v := value.(type) {
		case string:
			return append(count(len(v)), padded([]byte(v))...), nil
		case []byte:
			return append(count(len(v)), padded(v)...), nil
		}
		return nil, errors.New(": want a text")
	case address:
		raw, err := octets(value)
		t, isText := value.(string)
		if err != nil || len(raw) != addressLength || isText && (len(t) != 2+2*addressLength || !strings.HasPrefix(t, "0x")) {
			return nil, errors.New(": want an address, 0x and 40 hexadecimal digits")
		}
		return append(make([]byte, word-addressLength, word), raw...), nil
	case anyBytes:
		raw, err := octets(value)
		return append(count(len(raw)), padded(raw)...), err
	case fixedBytes:
		raw, err := octets(value)
		if err == nil && len(raw) != s.size {
			err = fmt.Errorf(": want %d bytes, have %d", s.size, len(raw))
		}
		return padded(raw), err
	case tuple:
		return e.tuple(value, s)
	default:
		return e.elements(value, s)
	}
}

func (e encoder) integer(value any, s *shape) ([]byte, error) {
	d, err := e.number(value)
	if err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	if !d.IsInteger() {
		return nil, errors.New(": the number has a fraction, and the type is an integer; cut it before, with divide and " +
			"precision=0")
	}
	n := d.BigInt()
	if !fits(n, s) {
		return nil, fmt.Errorf(": the number does not fit %s", s.text)
	}
	if n.Sign() < 0 { // two's complement
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 8*word)) // a number may share its digits
	}
	return n.FillBytes(make([]byte, word)), nil
}

// fits tells whether an integer is in the range of a type.
func fits(n *big.Int, s *shape) bool {
	if s.kind == unsigned {
		return n.Sign() >= 0 && n.BitLen() <= s.size
	}
	magnitude := n
	if n.Sign() < 0 {
		magnitude = new(big.Int).Not(n) // two's complement: -2^(size-1) fits
	}
	return magnitude.BitLen() < s.size
}

// elements encodes a list or an array.
func (e encoder) elements(value any, s *shape) ([]byte, error) {
	values, ok := value.([]any)
	if !ok {
		return nil, errors.New(": want a list")
	}
	var out []byte
	if s.kind == list {
		out = count(len(values))
	} else if len(values) != s.size {
		return nil, fmt.Errorf(": want %d elements, have %d", s.size, len(values))
	}
	parts := make([]part, len(values))
	for i, v := range values {
		encoded, err := e.value(v, s.elem)
		if err != nil {
			return nil, fmt.Errorf("[%d]%w", i, err)
		}
		parts[i] = part{encoded, s.elem.dynamic()}
	}
	return join(out, parts), nil
}

func (e encoder) tuple(value any, s *shape) ([]byte, error) {
	fields, isMap := value.(map[string]any)
	values, isList := value.([]any)
	if !isMap && !isList {
		return nil, errors.New(": want a map by the fields' names, or a list")
	}
	if isList && len(values) != len(s.fields) {
		return nil, fmt.Errorf(": want %d fields, have %d", len(s.fields), len(values))
	}
	parts := make([]part, len(s.fields))
	for i, f := range s.fields {
		var field any
		if isList {
			field = values[i]
		} else {
			var ok bool
			if field, ok = fields[f.name]; !ok || f.name == "" {
				return nil, fmt.Errorf(": the field %s is missing", f.label(i))
			}
		}
		encoded, err := e.value(field, &f.shape)
		if err != nil {
			return nil, fmt.Errorf(".%s%w", f.label(i), err)
		}
		parts[i] = part{encoded, f.shape.dynamic()}
	}
	return join(nil, parts), nil
}

// label is a field's name for errors, its number if it has none.
func (a argument) label(i int) string {
	if a.name == "" {
		return strconv.Itoa(i)
	}
	return a.name
}

// octets reads bytes: of a text that begins with 0x, its digits; of another text, its own.
func octets(value any) ([]byte, error) {
	switch v := value.(type) {
	case []byte:
		return v, nil
	case string:
		digits, ok := strings.CutPrefix(v, "0x")
		if !ok {
			return []byte(v), nil
		}
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return nil, errors.New(": what follows 0x is not pairs of hexadecimal digits")
		}
		return raw, nil
	}
	return nil, errors.New(": want bytes, as 0x and hexadecimal digits")
}
