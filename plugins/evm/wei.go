package evm

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/loop-plugins/loop/sdk/go/document"
)

// Wei is an amount of the chain's coin: a whole number of wei, or a number with a unit from wei to tether. An invalid
// text is kept for Fault.
type Wei struct {
	big.Int
	bad string
}

func gwei(n int64) Wei { return Wei{Int: *new(big.Int).Mul(big.NewInt(n), big.NewInt(1e9))} }

// weiUnits are the powers of ten of the names that operators use. Each stands before those that it ends in.
var weiUnits = []struct {
	name   string
	digits int
}{
	{"tether", 30}, {"gether", 27}, {"mether", 24}, {"kether", 21}, {"ether", 18}, {"eth", 18}, {"milli", 15},
	{"micro", 12}, {"gwei", 9}, {"mwei", 6},
	{"kwei", 3}, {"wei", 0}, {"", 0},
}

// Fault implements document.Faulty.
func (w Wei) Fault() string { return w.bad }

// UnmarshalText reads an amount.
func (w *Wei) UnmarshalText(text []byte) error {
	amount, ok := parseWei(strings.ToLower(strings.TrimSpace(string(text))))
	if !ok {
		*w = Wei{bad: document.Shown(string(text)) +
			` is not an amount; write a whole number of wei or an amount with a unit, such as "100 gwei"`}
		return nil
	}
	*w = Wei{Int: *amount}
	return nil
}

func parseWei(text string) (*big.Int, bool) {
	for _, unit := range weiUnits {
		rest, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		whole, fraction, _ := strings.Cut(strings.TrimSpace(rest), ".")
		if len(fraction) > unit.digits || len(whole) > 78 || whole+fraction == "" {
			return nil, false
		}
		digits := strings.ReplaceAll(whole, "_", "") + fraction + strings.Repeat("0", unit.digits-len(fraction))
		if strings.Trim(digits, "0123456789") != "" {
			return nil, false
		}
		amount, ok := new(big.Int).SetString(digits, 10)
		return amount, ok && amount.BitLen() <= 256
	}
	return nil, false
}

// String returns the amount in gwei or wei, the larger unit that needs no fraction.
func (w Wei) String() string {
	if gwei, rest := new(big.Int).QuoRem(&w.Int, big.NewInt(1e9), new(big.Int)); rest.Sign() == 0 && gwei.Sign() > 0 {
		return gwei.String() + " gwei"
	}
	return w.Int.String() + " wei"
}

// MarshalText writes the form that UnmarshalText reads.
func (w Wei) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// above reports whether an amount is above another one, if both can be read.
func (w Wei) above(other Wei) bool { return w.bad == "" && other.bad == "" && w.Cmp(&other.Int) > 0 }

// Multiplier is a decimal number from 0.1 to 100, with quotes or without. An invalid text is kept for Fault.
type Multiplier struct {
	number float64
	bad    string
}

// Fault implements document.Faulty.
func (m Multiplier) Fault() string { return m.bad }

// UnmarshalText reads a multiplier.
func (m *Multiplier) UnmarshalText(text []byte) error {
	number, err := strconv.ParseFloat(string(text), 64)
	*m = Multiplier{number: number}
	if err != nil || !(number >= 0.1 && number <= 100) { // NaN is a number too
		m.bad = document.Shown(string(text)) + " is not a number from 0.1 to 100"
	}
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (m Multiplier) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, m.number, 'f', -1, 64), nil
}
