package abi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
)

// Decode decodes the arguments, by their names. Integers become *big.Int, addresses text with the checksum in the
// letters' case, bytes of either kind []byte, and arrays []any. A tuple becomes a map if all its fields have different
// names, else a list. The data is untrusted; the cost of decoding it is bounded.
func (s *Signature) Decode(data []byte) (map[string]any, error) {
	out := make(map[string]any, len(s.arguments))
	return out, s.decode(data, out)
}

// decode adds the arguments that are not indexed.
func (s *Signature) decode(data []byte, out map[string]any) error {
	d := &decoder{left: maxDecoded}
	at := 0
	for _, a := range s.arguments {
		if a.indexed {
			continue
		}
		if len(data) == 0 {
			return errors.New("there is no data to decode")
		}
		value, next, err := d.value(&a.shape, data, at)
		if err != nil {
			return fmt.Errorf("argument %s%w", a.name, err)
		}
		out[a.name], at = value, next
	}
	return nil
}

// DecodeLog decodes an event's log: its topics of 32 bytes each, the event's own first, and its data. For an indexed
// text, array, tuple or bytes of any length a log holds only the hash, which is the result.
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
		if len(topic) != word {
			return nil, fmt.Errorf("topic %d has %d bytes; want %d", i, len(topic), word)
		}
	}
	if id := s.hash(); !bytes.Equal(topics[0], id[:]) {
		return nil, fmt.Errorf("the log is of another event: its first topic is %#x, and that of %s is %#x", topics[0],
			s.text, id)
	}
	out := make(map[string]any, len(s.arguments))
	at := 0
	for _, a := range s.arguments {
		if !a.indexed {
			continue
		}
		at++
		if a.shape.kind >= anyBytes {
			out[a.name] = topics[at]
			continue
		}
		value, err := a.shape.read(topics[at])
		if err != nil {
			return nil, fmt.Errorf("argument %s%w", a.name, err)
		}
		out[a.name] = value
	}
	return out, s.decode(data, out)
}

// decoder follows an encoding through its offsets, and stops where that would cost too much. Its errors go on where an
// argument's name ends, as the encoder's do.
type decoder struct{ left int }

var (
	errCost  = fmt.Errorf(": decoding the data would make more than %d words of %d bytes of it", maxDecoded, word)
	errShort = errors.New(": the data ends before the values of the signature do")
)

func (d *decoder) spend(words int) error {
	if d.left -= words; d.left < 0 {
		return errCost
	}
	return nil
}

// value reads the value at a place of the frame, or the one to which an offset at that place leads from the frame's
// start. It returns the place of the next value.
func (d *decoder) value(s *shape, frame []byte, at int) (value any, next int, err error) {
	if !s.dynamic() {
		return d.static(s, frame, at)
	}
	offset, err := length(frame, at)
	if err != nil {
		return nil, 0, err
	}
	if err := d.spend(1); err != nil {
		return nil, 0, err
	}
	value, err = d.follow(s, frame[offset:])
	return value, at + word, err
}

// static reads a value of fixed size.
func (d *decoder) static(s *shape, frame []byte, at int) (value any, next int, err error) {
	switch s.kind {
	case array:
		value, next, err = d.elements(s.elem, s.size, frame, at)
	case tuple:
		value, next, err = d.fields(s, frame, at)
	default:
		if at+word > len(frame) {
			return nil, 0, errShort
		}
		if err := d.spend(1); err != nil {
			return nil, 0, err
		}
		value, err = s.read(frame[at : at+word])
		next = at + word
	}
	return value, next, err
}

// follow reads a value of dynamic size, with which the frame begins.
func (d *decoder) follow(s *shape, frame []byte) (value any, err error) {
	switch s.kind {
	case array:
		value, _, err = d.elements(s.elem, s.size, frame, 0)
		return value, err
	case tuple:
		value, _, err = d.fields(s, frame, 0)
		return value, err
	default: // it begins with its length
	}
	n, err := length(frame, 0)
	if err != nil {
		return nil, err
	}
	frame = frame[word:]
	if s.kind == list {
		value, _, err = d.elements(s.elem, n, frame, 0)
		return value, err
	}
	if n > len(frame) {
		return nil, errShort
	}
	if err := d.spend(1 + n/word); err != nil {
		return nil, err
	}
	if s.kind == text {
		return string(frame[:n]), nil
	}
	return bytes.Clone(frame[:n]), nil
}

func (d *decoder) elements(s *shape, n int, frame []byte, at int) (values []any, next int, err error) {
	if n > (len(frame)-at)/word { // no element is smaller than a word
		return nil, 0, errShort
	}
	values = make([]any, n)
	for i := range values {
		if values[i], at, err = d.value(s, frame, at); err != nil {
			return nil, 0, fmt.Errorf("[%d]%w", i, err)
		}
	}
	return values, at, nil
}

func (d *decoder) fields(s *shape, frame []byte, at int) (value any, next int, err error) {
	values := make([]any, len(s.fields))
	named := make(map[string]any, len(s.fields))
	for i, f := range s.fields {
		if values[i], at, err = d.value(&f.shape, frame, at); err != nil {
			return nil, 0, fmt.Errorf(".%s%w", f.label(i), err)
		}
		if f.name != "" {
			named[f.name] = values[i]
		}
	}
	if len(named) == len(values) {
		return named, at, nil
	}
	return values, at, nil
}

// read reads a value that takes one word.
func (s *shape) read(w []byte) (any, error) {
	switch s.kind {
	case boolean:
		if !bytes.Equal(w, count(0)) && !bytes.Equal(w, count(1)) {
			return nil, errors.New(": the word is neither true nor false")
		}
		return w[word-1] == 1, nil
	case address:
		return checksummed(w[word-addressLength:]), nil
	case fixedBytes:
		return bytes.Clone(w[:s.size]), nil
	default:
		n := new(big.Int).SetBytes(w)
		if s.kind == signed && w[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 8*word))
		}
		if !fits(n, s) {
			return nil, fmt.Errorf(": the number does not fit %s", s.text)
		}
		return n, nil
	}
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

const addressLength = 20

// checksummed writes an address. A letter is a capital where the digit of the small letters' hash is 8 or more
// (EIP-55).
func checksummed(raw []byte) string {
	text := []byte(hex.EncodeToString(raw))
	hash := keccak(text)
	digits := hex.EncodeToString(hash[:])
	for i, c := range text {
		if c >= 'a' && digits[i] >= '8' {
			text[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(text)
}
