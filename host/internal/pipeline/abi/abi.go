// Package abi encodes and decodes values by Ethereum's contract ABI, for arguments that are written as in Solidity:
// "transfer(address to, uint256 amount)". go-ethereum does the encoding; this package reads the text, converts values from and to the
// types that pipelines pass on, and bounds what untrusted bytes can cost.
//
// It must not know tasks, chains or contracts.
package abi

import (
	"errors"
	"fmt"
	"strings"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/shopspring/decimal"
)

const (
	// maxText bounds a signature, in bytes. The longest of a known contract has under 1 KiB.
	maxText = 4 << 10
	// maxArguments bounds the arguments of a signature, the fields of tuples included.
	maxArguments = 64
	// maxDepth bounds how deep tuples and arrays nest.
	maxDepth = 8
	// maxWords bounds the words of 32 bytes that a signature's values of fixed size have together: go-ethereum makes such arrays
	// whole before it looks at a byte of the data.
	maxWords = 1024
	// maxDecoded bounds the words that decoding makes of any data. Parts of an encoding may be used many times over, so
	// that a few KiB can stand for more than any memory holds.
	maxDecoded = 1 << 16
)

// Signature is a list of arguments, with the name of the function or event that they belong to, if any.
type Signature struct {
	name      string
	text      string // canonical, as in transfer(address,uint256)
	arguments []argument
	types     gethabi.Arguments // of arguments, in the same order
}

// Number reads a number of whatever type the caller has. Its error says what is wrong with the value.
type Number func(value any) (decimal.Decimal, error)

// ParseFunction reads a function and its arguments, or arguments alone, with or without parentheses around them.
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
		t, err := gethabi.NewType(a.shape.marshalled(), "", a.shape.components())
		if err != nil {
			return nil, fmt.Errorf("argument %s: go-ethereum does not know its type", a.name) // never seen: the parser knows fewer types
		}
		canonical[i] = t.String()
		s.types = append(s.types, gethabi.Argument{Name: a.name, Type: t, Indexed: a.indexed})
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
