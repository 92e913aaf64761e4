// Package section reads a chain's section of the node's configuration: strict TOML, of which every problem is told by key and
// line and never by value, since values hold keys of RPC nodes.
//
// A relayer has a struct whose fields are the keys of its section, fills it with its defaults, and calls Parse; its check
// gathers Problems. The package must know no chain.
package section

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Parse reads a section into a struct that holds the defaults. A key that the struct does not have is an error.
func Parse(document []byte, into any) error {
	decoder := toml.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var (
		unknown *toml.StrictMissingError
		wrong   *toml.DecodeError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: the key %s is not known; remove it or correct its spelling", line, strings.Join(first.Key(), "."))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		if strings.Contains(wrong.Error(), "already") { // go-toml's word for it; its text may repeat values
			return fmt.Errorf("line %d: the key %s is given twice; remove one", line, strings.Join(wrong.Key(), "."))
		}
		return fmt.Errorf("line %d: the value of %s cannot be read; check its type, its unit and its quotes", line, strings.Join(wrong.Key(), "."))
	default:
		return errors.New("the section is no TOML that can be read; check its syntax")
	}
}

// Redacted is a configuration as TOML, for operators. Each Secret in it is a placeholder.
func Redacted(config any) (string, error) {
	document, err := toml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write the configuration as TOML: %w", err)
	}
	return string(document), nil
}

// Problems gathers what is wrong with a configuration, so that an operator hears of all of it at once. The zero value is ready.
type Problems struct {
	list  []string
	names map[string]bool // of nodes
}

// Refuse adds a problem if bad. Its text begins with the key.
func (p *Problems) Refuse(bad bool, format string, args ...any) {
	if bad {
		p.list = append(p.list, fmt.Sprintf(format, args...))
	}
}

// Period refuses the time between two reads, or for an answer, if it is too short to be meant.
func (p *Problems) Period(key string, d Duration) {
	p.Refuse(d < Duration(10*time.Millisecond), "%s must be at least 10ms", key)
}

// Node refuses the name of the node at an index if it is empty or that of one before.
func (p *Problems) Node(i int, name string) {
	p.Refuse(name == "", "Nodes[%d].Name must not be empty", i)
	p.Refuse(p.names[name], "Nodes[%d].Name is that of another node", i)
	if p.names == nil {
		p.names = map[string]bool{}
	}
	p.names[name] = true
}

// Err is all problems in one error, or nil if there is none.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.list, "; "))
}

// Secret is a node's key, or its address, which may hold one. It prints as a placeholder, and stands as one in what Redacted
// makes.
type Secret string

// Is tells whether the secret is an address with one of these schemes.
func (s Secret) Is(schemes ...string) bool {
	u, err := url.Parse(string(s))
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler. It has a pointer for its receiver because go-toml asks no string by its value.
func (s *Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a length of time in Go's syntax, such as "1m30s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("a duration cannot be read; write it as in 500ms or 1m30s") // without the value: a misplaced key could stand there
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Selections are the established names of how the nodes of a chain are chosen from. TotalDifficulty is HighestHead: chains
// without mining have no other.
var Selections = map[string]relayer.Selection{
	"PriorityLevel": relayer.InOrder, "HighestHead": relayer.HighestHead, "TotalDifficulty": relayer.HighestHead,
	"RoundRobin": relayer.RoundRobin,
}

// Selection refuses a name that Selections does not have.
func (p *Problems) Selection(key, name string) {
	_, known := Selections[name]
	p.Refuse(!known, "%s must be PriorityLevel, HighestHead, TotalDifficulty or RoundRobin", key)
}

// LastOrder is the order of nodes that have none, the established node's default.
const LastOrder = 100

// InOrder sorts nodes by their order, and leaves those of the same order as they stand.
func InOrder[N any](nodes []N, order func(N) *uint8) []N {
	of := func(n N) uint8 {
		if given := order(n); given != nil {
			return *given
		}
		return LastOrder
	}
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b N) int { return cmp.Compare(of(a), of(b)) })
}
