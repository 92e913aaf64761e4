package abi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// argument is one argument of a function or one field of a tuple.
type argument struct {
	name    string // may be empty in a tuple
	indexed bool
	shape   shape
}

// kind is what a type is of.
type kind int

// The kinds: first those of one word. Of the others, an event's log holds the hash where they are indexed.
const (
	unsigned kind = iota
	signed
	boolean
	address
	fixedBytes
	anyBytes
	text
	list
	array
	tuple
)

// shape is a type.
type shape struct {
	kind   kind
	text   string     // canonical, such as (uint256,bool)[2]
	size   int        // bits of an integer, bytes of fixedBytes, elements of an array
	elem   *shape     // of a list or array
	fields []argument // of a tuple
}

// words counts the words of a value of fixed size. A part of dynamic size counts as one word, and a list as one
// element.
func (s *shape) words() int {
	switch s.kind {
	case list:
		return s.elem.words()
	case array:
		return min(s.size*s.elem.words(), maxWords+1) // both factors are maxWords at most
	case tuple:
		n := 0
		for i := range s.fields {
			n += s.fields[i].shape.words()
		}
		return n
	default:
		return 1
	}
}

// dynamic tells whether a value's size depends on the value.
func (s *shape) dynamic() bool {
	switch s.kind {
	case anyBytes, text, list:
		return true
	case array:
		return s.elem.dynamic()
	case tuple:
		return slices.ContainsFunc(s.fields, func(f argument) bool { return f.shape.dynamic() })
	default:
		return false
	}
}

// in is a list of the type, or an array of so many.
func (s shape) in(size int) shape {
	if size < 0 {
		return shape{kind: list, text: s.text + "[]", elem: &s}
	}
	return shape{kind: array, text: fmt.Sprintf("%s[%d]", s.text, size), size: size, elem: &s}
}

var (
	wordPattern = regexp.MustCompile(`^[a-zA-Z_$][a-zA-Z0-9_$]*`)
	basePattern = regexp.MustCompile(`^(address|bool|string|bytes|tuple|bytes([0-9]+)|u?int([0-9]*))$`)
	sizePattern = regexp.MustCompile(`^\[\s*([0-9]*)\s*\]`)
	// locations are where Solidity keeps an argument, which the encoding does not depend on.
	locations = map[string]bool{"memory": true, "calldata": true, "storage": true, "payable": true}
)

var errTooDeep = fmt.Errorf("tuples and arrays nest deeper than %d", maxDepth)

// parser reads a signature from its start.
type parser struct {
	rest  string
	event bool
	count int
	depth int
}

func (p *parser) blanks() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes a character if it is next.
func (p *parser) take(c byte) bool {
	p.blanks()
	if p.rest != "" && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

func (p *parser) word() string {
	p.blanks()
	word := wordPattern.FindString(p.rest)
	p.rest = p.rest[len(word):]
	return word
}

// here quotes what stands at the place of an error.
func (p *parser) here() string {
	p.blanks()
	if p.rest == "" {
		return "the end"
	}
	const shown = 24
	if len(p.rest) > shown {
		return strconv.Quote(strings.ToValidUTF8(p.rest[:shown], "") + "…")
	}
	return strconv.Quote(p.rest)
}

func (p *parser) signature(s *Signature) (err error) {
	start := p.rest
	if name := p.word(); name != "tuple" && p.take('(') {
		s.name = name
		if s.arguments, err = p.arguments(); err != nil {
			return err
		}
		if p.blanks(); p.rest != "" {
			return fmt.Errorf("%s stands after the closing parenthesis, where a signature ends", p.here())
		}
		return nil
	}
	p.rest = start
	for { // arguments alone
		a, err := p.argument()
		if err != nil {
			return err
		}
		s.arguments = append(s.arguments, a)
		if p.blanks(); p.rest == "" {
			return nil
		}
		if !p.take(',') {
			return fmt.Errorf("%s where a comma or the end is expected", p.here())
		}
	}
}

// arguments reads up to the closing parenthesis.
func (p *parser) arguments() ([]argument, error) {
	if p.take(')') {
		return nil, nil
	}
	var all []argument
	for {
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		all = append(all, a)
		if p.take(')') {
			return all, nil
		}
		if !p.take(',') {
			return nil, fmt.Errorf("%s where a comma or a closing parenthesis is expected", p.here())
		}
	}
}

// argument reads a type and what follows it up to a comma or parenthesis.
func (p *parser) argument() (a argument, err error) {
	if p.count++; p.count > maxArguments {
		return a, fmt.Errorf("there are more than %d arguments", maxArguments)
	}
	if a.shape, err = p.shape(); err != nil {
		return a, err
	}
	for word := p.word(); word != ""; word = p.word() {
		switch {
		case a.name != "":
			return a, fmt.Errorf("%s %s: write one name after the type", a.name, word)
		case word == "indexed" && p.event && p.depth == 0:
			a.indexed = true
		case word == "indexed":
			return a, errors.New("indexed stands in the arguments of an event alone")
		case !locations[word]:
			a.name = word
		}
	}
	return a, nil
}

func (p *parser) shape() (s shape, err error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return s, errTooDeep
	}
	if s, err = p.base(); err != nil {
		return s, err
	}
	for arrays := 1; ; arrays++ {
		p.blanks()
		match := sizePattern.FindStringSubmatch(p.rest)
		if match == nil {
			break
		}
		p.rest = p.rest[len(match[0]):]
		size := -1
		if match[1] != "" && !between(match[1], 1, maxWords, 1) {
			return s, fmt.Errorf("an array of %s elements: fixed arrays have 1 to %d", shortened(match[1]), maxWords)
		} else if match[1] != "" {
			size, _ = strconv.Atoi(match[1])
		}
		if p.depth+arrays > maxDepth {
			return s, errTooDeep
		}
		if s = s.in(size); s.words() > maxWords {
			return s, fmt.Errorf("the type %s… is too large: arrays of fixed length have %d elements in all at most",
				shortened(s.text), maxWords)
		}
	}
	return s, nil
}

// base reads a type up to the brackets that make arrays of it.
func (p *parser) base() (s shape, err error) {
	name := p.word()
	if (name == "" || name == "tuple") && !p.take('(') {
		return s, fmt.Errorf("%s where a type is expected, such as uint256", p.here())
	}
	match := basePattern.FindStringSubmatch(name)
	switch {
	case name == "" || name == "tuple":
		return p.tuple()
	case match == nil:
		return s, fmt.Errorf("%s is not a type; the types are address, bool, string, bytes, bytes1 to bytes32, int8 to "+
			"int256, uint8 to uint256, tuples and arrays of these", name)
	case match[2] != "" && !between(match[2], 1, 32, 1), match[3] != "" && !between(match[3], 8, 256, 8):
		return s, fmt.Errorf("%s is not a type: bytes have 1 to 32 bytes, and integers 8 to 256 bits in steps of 8", name)
	}
	s.text = name
	switch {
	case name == "address":
		s.kind = address
	case name == "bool":
		s.kind = boolean
	case name == "string":
		s.kind = text
	case name == "bytes":
		s.kind = anyBytes
	case match[2] != "":
		s.kind = fixedBytes
		s.size, _ = strconv.Atoi(match[2])
	default:
		if name[0] == 'i' {
			s.kind = signed
		}
		if s.size, _ = strconv.Atoi(match[3]); s.size == 0 {
			s.size, s.text = 256, name+"256"
		}
	}
	return s, nil
}

// tuple reads the fields of a tuple.
func (p *parser) tuple() (s shape, err error) {
	if s.fields, err = p.arguments(); err != nil {
		return s, err
	}
	if len(s.fields) == 0 {
		return s, errors.New("a tuple has at least one field")
	}
	canonical := make([]string, len(s.fields))
	for i, f := range s.fields {
		canonical[i] = f.shape.text
	}
	s.kind, s.text = tuple, "("+strings.Join(canonical, ",")+")"
	if s.words() > maxWords {
		return s, fmt.Errorf("the type %s… is too large: arrays of fixed length have %d elements in all at most",
			shortened(s.text), maxWords)
	}
	return s, nil
}

// between tells whether digits are a number without leading zeros, from least to most, in steps.
func between(digits string, least, most, step int) bool {
	n, err := strconv.Atoi(digits)
	return err == nil && digits[0] != '0' && n >= least && n <= most && n%step == 0
}

func shortened(text string) string { return text[:min(len(text), 24)] }
