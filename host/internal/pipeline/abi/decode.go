package abi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"reflect"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
)

// Decode decodes the arguments, by their names. Integers come out as *big.Int, addresses as text with its checksum in the letters'
// case, bytes of either kind as []byte, arrays as []any; a tuple as a map if all its fields have names of their own, else as a list.
// The data is untrusted; what decoding it may cost is bounded.
func (s *Signature) Decode(data []byte) (map[string]any, error) {
	out := make(map[string]any, len(s.arguments))
	return out, s.decode(data, out)
}

// decode adds the arguments that are not indexed.
func (s *Signature) decode(data []byte, out map[string]any) error {
	plain := s.types.NonIndexed()
	if len(plain) == 0 {
		return nil
	}
	if len(data) == 0 {
		return errors.New("there is no data to decode")
	}
	types := make([]*gethabi.Type, len(plain))
	for i := range plain {
		types[i] = &plain[i].Type
	}
	w := &walk{left: maxDecoded}
	if err := w.fields(types, data); err != nil {
		return err
	}
	values, err := plain.Unpack(data)
	if err != nil {
		return fmt.Errorf("the data is no encoding of %s: %w", s.text, err)
	}
	at := 0
	for i, a := range s.arguments {
		if a.indexed {
			continue
		}
		if out[a.name], err = plainValue(reflect.ValueOf(values[at]), &s.types[i].Type, a.shape); err != nil {
			return fmt.Errorf("argument %s: %w", a.name, err)
		}
		at++
	}
	return nil
}

// DecodeLog decodes an event's log: its topics of 32 bytes each, the event's own first, and its data. Of an indexed text, array, tuple
// or bytes of any length a log holds the hash alone, which is what comes out.
func (s *Signature) DecodeLog(topics [][]byte, data []byte) (map[string]any, error) {
	indexed := 0
	for _, a := range s.arguments {
		if a.indexed {
			indexed++
		}
	}
	if len(topics) != indexed+1 {
		return nil, fmt.Errorf("the log has %d topics, and one of %s has %d", len(topics), s.text, indexed+1)
	}
	for i, topic := range topics {
		if len(topic) != common.HashLength {
			return nil, fmt.Errorf("topic %d has %d bytes; want %d", i, len(topic), common.HashLength)
		}
	}
	if id := gethabi.NewEvent(s.name, s.name, false, s.types).ID; common.Hash(topics[0]) != id {
		return nil, fmt.Errorf("the log is of another event: its first topic is %#x, and that of %s is %s", topics[0], s.text, id)
	}
	out := make(map[string]any, len(s.arguments))
	at := 0
	for i, a := range s.arguments {
		if !a.indexed {
			continue
		}
		at++
		switch t := &s.types[i].Type; t.T {
		case gethabi.StringTy, gethabi.BytesTy, gethabi.SliceTy, gethabi.ArrayTy, gethabi.TupleTy:
			out[a.name] = topics[at]
		default:
			values, err := gethabi.Arguments{{Type: *t}}.Unpack(topics[at])
			if err == nil {
				out[a.name], err = plainValue(reflect.ValueOf(values[0]), t, a.shape)
			}
			if err != nil {
				return nil, fmt.Errorf("argument %s: %w", a.name, err)
			}
		}
	}
	return out, s.decode(data, out)
}

// plainValue makes of go-ethereum's value one that pipelines pass on.
func plainValue(v reflect.Value, t *gethabi.Type, s shape) (any, error) {
	switch t.T {
	case gethabi.IntTy, gethabi.UintTy:
		n, ok := v.Interface().(*big.Int)
		switch {
		case ok:
		case v.CanInt():
			n = big.NewInt(v.Int())
		default:
			n = new(big.Int).SetUint64(v.Uint())
		}
		if !fits(n, t) {
			return nil, fmt.Errorf("the number does not fit %s", t)
		}
		return n, nil
	case gethabi.AddressTy:
		return v.Interface().(common.Address).Hex(), nil
	case gethabi.FixedBytesTy:
		raw := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(raw), v)
		return raw, nil
	case gethabi.SliceTy, gethabi.ArrayTy:
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = plainValue(v.Index(i), t.Elem, s); err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
		}
		return list, nil
	case gethabi.TupleTy:
		list := make([]any, len(s.fields))
		fields := make(map[string]any, len(s.fields))
		for i, f := range s.fields {
			var err error
			if list[i], err = plainValue(v.Field(i), t.TupleElems[i], f.shape); err != nil {
				return nil, fmt.Errorf("field %s: %w", f.label(i), err)
			}
			if f.name != "" {
				fields[f.name] = list[i]
			}
		}
		if len(fields) == len(list) {
			return fields, nil
		}
		return list, nil
	default:
		return v.Interface(), nil
	}
}

// word is the length of everything in an encoding.
const word = 32

// walk follows an encoding through its offsets, as decoding will, and stops where that would cost too much.
type walk struct{ left int }

var (
	errCost  = fmt.Errorf("decoding the data would make more than %d words of %d bytes of it", maxDecoded, word)
	errShort = errors.New("the data ends before the values of the signature do")
)

func (w *walk) spend(words int) error {
	if w.left -= words; w.left < 0 {
		return errCost
	}
	return nil
}

// fields walks values that stand side by side: those of fixed size, and offsets from the start of the frame to the others.
func (w *walk) fields(types []*gethabi.Type, frame []byte) error {
	at := 0
	for _, t := range types {
		if !dynamic(t) {
			size := fixed(t)
			if at+size*word > len(frame) {
				return errShort
			}
			if err := w.spend(size); err != nil {
				return err
			}
			at += size * word
			continue
		}
		if err := w.follow(t, frame, at); err != nil {
			return err
		}
		at += word
	}
	return nil
}

// follow walks a value of dynamic size from where its offset stands.
func (w *walk) follow(t *gethabi.Type, frame []byte, at int) error {
	offset, err := length(frame, at)
	if err != nil {
		return err
	}
	if err := w.spend(1); err != nil {
		return err
	}
	return w.value(t, frame[offset:])
}

// value walks a value of dynamic size.
func (w *walk) value(t *gethabi.Type, frame []byte) error {
	switch t.T {
	case gethabi.TupleTy:
		return w.fields(t.TupleElems, frame)
	case gethabi.ArrayTy:
		return w.elements(t.Elem, t.Size, frame)
	default:
		n, err := length(frame, 0)
		if err != nil {
			return err
		}
		if t.T == gethabi.SliceTy {
			return w.elements(t.Elem, n, frame[word:])
		}
		if word+n > len(frame) {
			return errShort
		}
		return w.spend(1 + n/word)
	}
}

func (w *walk) elements(t *gethabi.Type, n int, frame []byte) error {
	if !dynamic(t) {
		// No element is smaller than a word, so that n is bounded by the data before it is multiplied.
		if n > len(frame)/word || n*fixed(t) > len(frame)/word {
			return errShort
		}
		return w.spend(n * fixed(t))
	}
	for i := range n {
		if err := w.follow(t, frame, i*word); err != nil {
			return err
		}
	}
	return nil
}

// length reads a word that counts bytes or elements of the frame.
func length(frame []byte, at int) (int, error) {
	if at+word > len(frame) {
		return 0, errShort
	}
	n := frame[at : at+word]
	for _, b := range n[:word-8] {
		if b != 0 {
			return 0, errShort
		}
	}
	count := binary.BigEndian.Uint64(n[word-8:])
	if count > uint64(len(frame)) {
		return 0, errShort
	}
	return int(count), nil
}

// dynamic tells whether a value's size depends on the value.
func dynamic(t *gethabi.Type) bool {
	switch t.T {
	case gethabi.StringTy, gethabi.BytesTy, gethabi.SliceTy:
		return true
	case gethabi.ArrayTy:
		return dynamic(t.Elem)
	case gethabi.TupleTy:
		for _, field := range t.TupleElems {
			if dynamic(field) {
				return true
			}
		}
	}
	return false
}

// fixed counts the words of a value whose size does not depend on the value.
func fixed(t *gethabi.Type) int {
	switch t.T {
	case gethabi.ArrayTy:
		return t.Size * fixed(t.Elem)
	case gethabi.TupleTy:
		n := 0
		for _, field := range t.TupleElems {
			n += fixed(field)
		}
		return n
	default:
		return 1
	}
}
