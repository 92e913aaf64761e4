package config

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Duration is a length of time written in Go's syntax, such as "1m30s".
//
// Decoding never fails: the text of a bad one is kept, and checking reports it with the others and with its line. (The
// TOML library stops at the first value that fails to decode, and gives no line when that value is a bare number.)
type Duration struct {
	time.Duration
	bad string
}

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		*d = Duration{bad: cmp.Or(string(text), "an empty text")}
		return nil
	}
	*d = Duration{Duration: parsed}
	return nil
}

// MarshalText writes the shortest usual form: 1m and not 1m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the shortest usual form: 1m and not 1m0s.
func (d Duration) String() string {
	text := d.Duration.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func seconds(n int) Duration { return Duration{Duration: time.Duration(n) * time.Second} }

func minutes(n int) Duration { return Duration{Duration: time.Duration(n) * time.Minute} }

// Size is an amount of memory, written as a number with a unit: "512MiB", "1.5GiB", "500MB". Like a Duration it keeps a bad text
// for the check.
type Size struct {
	Bytes uint64
	// given tells a size of zero, which is a mistake, from none.
	given bool
	bad   string
}

var (
	size = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]+)$`)

	// sizes are the largest first.
	sizes = []struct {
		unit  string
		bytes uint64
	}{{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1}}
)

// Equal compares what is written.
func (s Size) Equal(other Size) bool { return s == other }

// UnmarshalText reads a size. An empty text is none.
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

// MarshalText writes the largest unit that needs no fraction.
func (s Size) MarshalText() ([]byte, error) {
	if (s == Size{}) {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// String writes the largest unit that needs no fraction.
func (s Size) String() string {
	for _, known := range sizes {
		if s.Bytes >= known.bytes && s.Bytes%known.bytes == 0 {
			return fmt.Sprintf("%d%s", s.Bytes/known.bytes, known.unit)
		}
	}
	return "0B"
}

// Pin is the SHA-256 checksums that the files of a command must have, with blanks between. Like a Duration it keeps a bad text for
// the check.
type Pin struct {
	// Sums are 64 hexadecimal digits each, in lower case.
	Sums []string
	bad  string
}

var checksum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mostSums is one for the program and one for its script.
const mostSums = 2

// Equal compares what is written.
func (p Pin) Equal(other Pin) bool { return slices.Equal(p.Sums, other.Sums) && p.bad == other.bad }

// UnmarshalText reads checksums. An empty text is none.
func (p *Pin) UnmarshalText(text []byte) error {
	*p = Pin{Sums: strings.Fields(strings.ToLower(string(text)))}
	if len(p.Sums) > mostSums || slices.ContainsFunc(p.Sums, func(sum string) bool { return !checksum.MatchString(sum) }) {
		*p = Pin{bad: string(text)}
	}
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (p Pin) MarshalText() ([]byte, error) { return []byte(strings.Join(p.Sums, " ")), nil }

// Wei is an amount of an EVM chain's coin. It is written as a whole number of wei or with a unit: "100 gwei", "0.5 ether".
// Like a Duration it keeps a bad text for the check.
type Wei struct {
	amount big.Int
	bad    string
}

// units are the powers of ten of the names that operators use.
var units = map[string]int64{
	"": 0, "wei": 0, "kwei": 3, "mwei": 6, "gwei": 9, "micro": 12, "milli": 15, "eth": 18, "ether": 18, "kether": 21, "mether": 24,
	"gether": 27, "tether": 30,
}

// Big returns the amount in wei.
func (w Wei) Big() *big.Int { return new(big.Int).Set(&w.amount) }

// Equal compares amounts.
func (w Wei) Equal(other Wei) bool { return w.amount.Cmp(&other.amount) == 0 && w.bad == other.bad }

// UnmarshalText reads an amount.
func (w *Wei) UnmarshalText(text []byte) error {
	amount, ok := parseWei(string(text))
	if !ok {
		*w = Wei{bad: cmp.Or(string(text), "an empty text")}
		return nil
	}
	*w = Wei{amount: *amount}
	return nil
}

func parseWei(text string) (*big.Int, bool) {
	number := strings.TrimRight(strings.TrimSpace(text), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	power, ok := units[strings.ToLower(strings.TrimSpace(text)[len(number):])]
	whole, fraction, _ := strings.Cut(strings.TrimSpace(number), ".")
	digits := strings.ReplaceAll(whole, "_", "") + fraction
	// 2^256 has 78 digits: anything longer is a slip of the hand.
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" || len(digits) > 78 || int64(len(fraction)) > power {
		return nil, false
	}
	digits += strings.Repeat("0", int(power)-len(fraction))
	return new(big.Int).SetString(digits, 10)
}

// MarshalText writes the largest of gwei and wei that needs no fraction.
func (w Wei) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// String writes the largest of gwei and wei that needs no fraction.
func (w Wei) String() string {
	quotient, remainder := new(big.Int).QuoRem(&w.amount, big.NewInt(1e9), new(big.Int))
	if remainder.Sign() == 0 && quotient.Sign() > 0 {
		return fmt.Sprintf("%d gwei", quotient)
	}
	return fmt.Sprintf("%d wei", &w.amount)
}

func gwei(n int64) Wei {
	return Wei{amount: *new(big.Int).Mul(big.NewInt(n), big.NewInt(1e9))}
}
