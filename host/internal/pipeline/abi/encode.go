package abi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
)

// Encode encodes a value for each argument, by its name, behind the function's selector if the signature has a name. Values are
// JSON's, and numbers of every type that number reads. Integers must be whole and fit; addresses are 0x and 40 digits or 20
// bytes; bytes are 0x and digits, bytes, or the bytes of a text; a tuple is a map by its fields' names, or a list.
func (s *Signature) Encode(values map[string]any, number Number) ([]byte, error) {
	packed := make([]any, len(s.arguments))
	for i, a := range s.arguments {
		value, ok := values[a.name]
		if !ok {
			return nil, fmt.Errorf("argument %s is missing", a.name)
		}
		v, err := encoder{number}.value(value, &s.types[i].Type, a.shape)
		if err != nil {
			return nil, fmt.Errorf("argument %s%w", a.name, err)
		}
		packed[i] = v.Interface()
	}
	data, err := s.types.Pack(packed...)
	if err != nil {
		return nil, fmt.Errorf("the arguments of %s cannot be encoded: %w", s.text, err)
	}
	if s.name == "" {
		return data, nil
	}
	selector := gethabi.NewMethod(s.name, s.name, gethabi.Function, "", false, false, s.types, nil).ID
	return append(selector, data...), nil
}

// encoder makes Go values of the types that go-ethereum encodes.
type encoder struct{ number Number }

// value converts one value. Its error goes on where the argument's name ends: with a path into it, then a colon.
func (e encoder) value(value any, t *gethabi.Type, s shape) (reflect.Value, error) {
	switch t.T {
	case gethabi.IntTy, gethabi.UintTy:
		return e.integer(value, t)
	case gethabi.BoolTy:
		switch v := value.(type) {
		case bool:
			return reflect.ValueOf(v), nil
		case string:
			if b, err := strconv.ParseBool(v); err == nil {
				return reflect.ValueOf(b), nil
			}
		}
		return reflect.Value{}, errors.New(": want true or false")
	case gethabi.StringTy:
		switch v := value.(type) {
		case string:
			return reflect.ValueOf(v), nil
		case []byte:
			return reflect.ValueOf(string(v)), nil
		}
		return reflect.Value{}, errors.New(": want a text")
	case gethabi.AddressTy:
		if text, ok := value.(string); ok && (len(text) != 2+2*common.AddressLength || !strings.HasPrefix(text, "0x")) {
			return reflect.Value{}, errors.New(": want an address, 0x and 40 hexadecimal digits")
		}
		raw, err := octets(value)
		if err != nil || len(raw) != common.AddressLength {
			return reflect.Value{}, errors.New(": want an address, 0x and 40 hexadecimal digits")
		}
		return reflect.ValueOf(common.BytesToAddress(raw)), nil
	case gethabi.BytesTy:
		raw, err := octets(value)
		return reflect.ValueOf(raw), err
	case gethabi.FixedBytesTy:
		raw, err := octets(value)
		if err == nil && len(raw) != t.Size {
			err = fmt.Errorf(": want %d bytes, have %d", t.Size, len(raw))
		}
		array := reflect.New(t.GetType()).Elem()
		reflect.Copy(array, reflect.ValueOf(raw))
		return array, err
	case gethabi.TupleTy:
		return e.tuple(value, t, s)
	default:
		return e.array(value, t, s)
	}
}

func (e encoder) integer(value any, t *gethabi.Type) (reflect.Value, error) {
	d, err := e.number(value)
	if err != nil {
		return reflect.Value{}, fmt.Errorf(": %w", err)
	}
	if !d.IsInteger() {
		return reflect.Value{}, errors.New(": the number has a fraction, and the type is an integer; cut it before, with divide and precision=0")
	}
	n := d.BigInt()
	if !fits(n, t) {
		return reflect.Value{}, fmt.Errorf(": the number does not fit %s", t)
	}
	target := reflect.New(t.GetType()).Elem()
	switch {
	case target.CanInt():
		target.SetInt(n.Int64())
	case target.CanUint():
		target.SetUint(n.Uint64())
	default:
		target.Set(reflect.ValueOf(n))
	}
	return target, nil
}

// fits tells whether an integer is in the range of a type: go-ethereum cuts what is not.
func fits(n *big.Int, t *gethabi.Type) bool {
	if t.T == gethabi.UintTy {
		return n.Sign() >= 0 && n.BitLen() <= t.Size
	}
	magnitude := n
	if n.Sign() < 0 {
		magnitude = new(big.Int).Not(n) // two's complement: -2^(size-1) fits
	}
	return magnitude.BitLen() < t.Size
}

func (e encoder) array(value any, t *gethabi.Type, s shape) (reflect.Value, error) {
	list, ok := value.([]any)
	if !ok {
		return reflect.Value{}, errors.New(": want a list")
	}
	var target reflect.Value
	if t.T == gethabi.ArrayTy {
		if len(list) != t.Size {
			return reflect.Value{}, fmt.Errorf(": want %d elements, have %d", t.Size, len(list))
		}
		target = reflect.New(t.GetType()).Elem()
	} else {
		target = reflect.MakeSlice(t.GetType(), len(list), len(list))
	}
	for i, element := range list {
		v, err := e.value(element, t.Elem, s)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("[%d]%w", i, err)
		}
		target.Index(i).Set(v)
	}
	return target, nil
}

func (e encoder) tuple(value any, t *gethabi.Type, s shape) (reflect.Value, error) {
	target := reflect.New(t.GetType()).Elem()
	fields, isMap := value.(map[string]any)
	list, isList := value.([]any)
	if !isMap && !isList {
		return reflect.Value{}, errors.New(": want a map by the fields' names, or a list")
	}
	if isList && len(list) != len(s.fields) {
		return reflect.Value{}, fmt.Errorf(": want %d fields, have %d", len(s.fields), len(list))
	}
	for i, f := range s.fields {
		var field any
		if isList {
			field = list[i]
		} else {
			var ok bool
			if field, ok = fields[f.name]; !ok || f.name == "" {
				return reflect.Value{}, fmt.Errorf(": the field %s is missing", f.label(i))
			}
		}
		v, err := e.value(field, t.TupleElems[i], f.shape)
		if err != nil {
			return reflect.Value{}, fmt.Errorf(".%s%w", f.label(i), err)
		}
		target.Field(i).Set(v)
	}
	return target, nil
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
