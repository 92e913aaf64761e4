// Package abi encodes and decodes values by Solidity's contract ABI, for arguments in Solidity's notation:
// "transfer(address to, uint256 amount)". It uses the types that pipelines pass on, and bounds the cost of untrusted
// bytes.
//
// It must not know tasks, chains or contracts.
package abi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
	"golang.org/x/crypto/sha3"
)

const (
	// maxText bounds a signature, in bytes. The longest of a known contract has under 1 KiB.
	maxText = 4 << 10
	// maxArguments bounds the arguments of a signature, the fields of tuples included.
	maxArguments = 64
	// maxDepth bounds how deep tuples and arrays nest.
	maxDepth = 8
	// maxWords bounds the words of 32 bytes that a signature's values of fixed size have together.
	maxWords = 1024
	// maxDecoded bounds the words that decoding makes of any data. Parts of an encoding may be used many times over, so
	// that a few KiB can stand for more than any memory holds.
	maxDecoded = 1 << 16
)

// Signature is a list of arguments, with the name of their function or event if there is one.
type Signature struct {
	name      string
	text      string // canonical, as in transfer(address,uint256)
	arguments []argument
}

// Number reads a number of any type that the caller supports. Its error says what is wrong with the value.
type Number func(value any) (decimal.Decimal, error)

// ParseFunction reads a function and its arguments, or only arguments, with or without parentheses.
func ParseFunction(text string) (*Signature, error) { return parse(text, false) }

// ParseEvent reads an event and its arguments, some of which may be indexed.
func ParseEvent(text string) (*Signature, error) {
	s, err := parse(text, true)
	if err == nil && s.name == "" {
		return nil, errors.New("the event has no name; write Name(type name, …)")
	}
	return s, err
}

func parse(text string, event bool) (*Signature, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the signature has more than %d bytes", maxText)
	}
	p := &parser{rest: text, event: event}
	s := &Signature{}
	if err := p.signature(s); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	canonical := make([]string, len(s.arguments))
	for i, a := range s.arguments {
		switch {
		case a.name == "":
			return nil, fmt.Errorf("argument %d has no name; write a type and a name, such as uint256 amount", i+1)
		case seen[a.name]:
			return nil, fmt.Errorf("two arguments are called %s", a.name)
		}
		seen[a.name] = true
		canonical[i] = a.shape.text
	}
	s.text = s.name + "(" + strings.Join(canonical, ",") + ")"
	return s, nil
}

// Names returns the arguments' names in order.
func (s *Signature) Names() []string {
	names := make([]string, len(s.arguments))
	for i, a := range s.arguments {
		names[i] = a.name
	}
	return names
}

// String returns the signature in its canonical form.
func (s *Signature) String() string { return s.text }

// hash is that of the canonical form: an event's first topic, and its first bytes a function's selector.
func (s *Signature) hash() [word]byte { return keccak([]byte(s.text)) }

func keccak(data []byte) (sum [word]byte) {
	h := sha3.NewLegacyKeccak256()
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}
