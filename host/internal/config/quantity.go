package config

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Size is an amount of memory, written as a number with a unit: "512MiB", "1.5GiB", "500MB". A bad text is kept for
// Fault.
type Size struct {
	Bytes uint64
	// given distinguishes a size of zero, which is a mistake, from a missing one.
	given bool
	bad   string
}

// Fault implements document.Faulty.
func (s Size) Fault() string {
	if s.bad == "" {
		return ""
	}
	return fmt.Sprintf("%.80q", s.bad) +
		` is not an amount of memory; write a number with a unit, such as "512MiB" or "1.5GiB"`
}

var (
	size = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]+)$`)

	// sizes are the largest first.
	sizes = []struct {
		unit  string
		bytes uint64
	}{{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10},
		{"kB", 1e3}, {"B", 1}}
)

// Equal compares the texts.
func (s Size) Equal(other Size) bool { return s == other }

// UnmarshalText reads a size. An empty text means none.
func (s *Size) UnmarshalText(text []byte) error {
	*s = Size{}
	if len(text) == 0 {
		return nil
	}
	if parts := size.FindStringSubmatch(string(text)); parts != nil {
		for _, known := range sizes {
			number, ok := new(big.Rat).SetString(parts[1])
			if !ok || !strings.EqualFold(known.unit, parts[2]) {
				continue
			}
			number.Mul(number, new(big.Rat).SetFrac(new(big.Int).SetUint64(known.bytes), big.NewInt(1)))
			if number.IsInt() && number.Num().IsUint64() {
				*s = Size{Bytes: number.Num().Uint64(), given: true}
				return nil
			}
		}
	}
	s.bad = string(text)
	return nil
}

// MarshalText writes the size in the largest unit that needs no fraction.
func (s Size) MarshalText() ([]byte, error) {
	if (s == Size{}) {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// String returns the size in the largest unit that needs no fraction.
func (s Size) String() string {
	for _, known := range sizes {
		if s.Bytes >= known.bytes && s.Bytes%known.bytes == 0 {
			return fmt.Sprintf("%d%s", s.Bytes/known.bytes, known.unit)
		}
	}
	return "0B"
}

// Pin is the SHA-256 checksums that the files of a command must have, separated by blanks. A bad text is kept for
// Fault.
type Pin struct {
	// Sums have 64 hexadecimal digits each, in lower case.
	Sums []string
	bad  string
}

// Fault implements document.Faulty.
func (p Pin) Fault() string {
	if p.bad == "" {
		return ""
	}
	return fmt.Sprintf("%.80q is not one or two SHA-256 checksums of 64 hexadecimal digits with a blank between; "+
		"sha256sum FILE prints one", p.bad)
}

var checksum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mostSums is one for the program and one for its script.
const mostSums = 2

// Equal compares the texts.
func (p Pin) Equal(other Pin) bool { return slices.Equal(p.Sums, other.Sums) && p.bad == other.bad }

// UnmarshalText reads checksums. An empty text means none.
func (p *Pin) UnmarshalText(text []byte) error {
	*p = Pin{Sums: strings.Fields(strings.ToLower(string(text)))}
	if len(p.Sums) > mostSums || slices.ContainsFunc(p.Sums, func(sum string) bool { return !checksum.MatchString(sum) }) {
		*p = Pin{bad: string(text)}
	}
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (p Pin) MarshalText() ([]byte, error) { return []byte(strings.Join(p.Sums, " ")), nil }
