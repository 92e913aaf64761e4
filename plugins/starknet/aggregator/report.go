package aggregator

import (
	"fmt"
	"math/big"
	"slices"
	"sort"

	"github.com/loop-plugins/loop/plugins/stark"
)

const (
	word = 32
	// head and tail are the words before and after a report's observations: timestamp, observers, number; juels and gas
	// price.
	head, tail = 3, 2
	// marker is the first byte of the word of observers: with an oracle's number there, the word could be beyond the
	// field.
	marker = 1
)

// Observation is an unchecked observation of one oracle.
type Observation struct {
	Seconds                          uint32
	Value, JuelsPerFeeCoin, GasPrice *big.Int
	Observer                         uint8
}

// ReportLength returns the length of a report of n observations, in bytes.
func ReportLength(n int) int { return word * (head + n + tail) }

// BuildReport makes a report of 1 to MaxOracles observations. All oracles must make the same bytes, those of other node
// software too, so observations that are equal in a figure stand in the order that comes of sorting by time, fee coin,
// gas price and value, one after another and with Go's unstable sort.
func BuildReport(observations []Observation) ([]byte, error) {
	n := len(observations)
	if n == 0 || n > MaxOracles {
		return nil, fmt.Errorf("observations: a report holds 1 to %d, got %d", MaxOracles, n)
	}
	for i, o := range observations {
		for _, figure := range []struct {
			name   string
			number *big.Int
		}{{"value", o.Value}, {"juels_per_fee_coin", o.JuelsPerFeeCoin}, {"gas_price_subunits", o.GasPrice}} {
			if !fits(figure.number) {
				return nil, fmt.Errorf("observations[%d].%s: Starknet's reports hold integers of 128 bits and no negative ones: "+
					"value = (%v), fee = (%v), gas = (%v)", i, figure.name, o.Value, o.JuelsPerFeeCoin, o.GasPrice)
			}
		}
	}
	sorted := slices.Clone(observations)
	by := func(less func(a, b Observation) bool) Observation {
		sort.Slice(sorted, func(i, j int) bool { return less(sorted[i], sorted[j]) })
		return sorted[n/2]
	}
	seconds := by(func(a, b Observation) bool { return a.Seconds < b.Seconds }).Seconds
	juels := by(func(a, b Observation) bool { return a.JuelsPerFeeCoin.Cmp(b.JuelsPerFeeCoin) < 0 }).JuelsPerFeeCoin
	gas := by(func(a, b Observation) bool { return a.GasPrice.Cmp(b.GasPrice) < 0 }).GasPrice
	by(func(a, b Observation) bool { return a.Value.Cmp(b.Value) < 0 })

	report := make([]byte, ReportLength(n))
	at := func(i int) []byte { return report[i*word : (i+1)*word] }
	new(big.Int).SetUint64(uint64(seconds)).FillBytes(at(0))
	at(1)[0] = marker
	at(2)[word-1] = byte(n)
	for i, o := range sorted {
		at(1)[1+i] = o.Observer
		o.Value.FillBytes(at(head + i))
	}
	juels.FillBytes(at(head + n))
	gas.FillBytes(at(head + n + 1))
	return report, nil
}

// Median reads the answer in an untrusted report. Bytes after the report's words are not an error, as in the other node
// software that may have built it.
func Median(report []byte) (*big.Int, error) {
	words, err := parseReport(report)
	if err != nil {
		return nil, err
	}
	n := len(words) - head - tail
	return words[head+n/2].Big(), nil
}

// parseReport cuts a report into its words and checks each.
func parseReport(report []byte) ([]stark.Felt, error) {
	if len(report) < ReportLength(0) {
		return nil, fmt.Errorf("a report has at least %d bytes, got %d", ReportLength(0), len(report))
	}
	number := new(big.Int).SetBytes(report[2*word : head*word])
	if !number.IsUint64() || number.Uint64() == 0 || number.Uint64() > MaxOracles {
		return nil, fmt.Errorf("the report says that it holds %s observations, and reports hold 1 to %d", number, MaxOracles)
	}
	n := int(number.Uint64())
	if len(report) < ReportLength(n) {
		return nil, fmt.Errorf("a report of %d observations has %d bytes, got %d", n, ReportLength(n), len(report))
	}
	words := make([]stark.Felt, head+n+tail)
	for i := range words {
		var err error
		if words[i], err = stark.FromBytes(report[i*word : (i+1)*word]); err != nil {
			return nil, fmt.Errorf("word %d of the report: %w", i, err)
		}
		limit := numberBits
		switch i {
		case 0:
			limit = 64
		case 1:
			continue
		}
		if bits := words[i].Big().BitLen(); bits > limit {
			return nil, fmt.Errorf("word %d of the report has %d bits, and the contract takes %d", i, bits, limit)
		}
		if i > head && i < head+n && words[i-1].Big().Cmp(words[i].Big()) > 0 {
			return nil, fmt.Errorf("observation %d of the report is below the one before", i-head)
		}
	}
	return words, nil
}

// Context is what a report is signed with.
type Context struct {
	Digest [32]byte
	Epoch  uint32
	Round  uint8
	// ExtraHash loses its first byte, in the signatures and in the call: 32 bytes could be beyond the field.
	ExtraHash [32]byte
}

func (c Context) felts() ([]stark.Felt, error) {
	digest, err := stark.FromBytes(c.Digest[:])
	if err != nil {
		return nil, fmt.Errorf("the config digest: %w", err)
	}
	extra, err := stark.FromBytes(c.ExtraHash[1:])
	if err != nil {
		return nil, fmt.Errorf("the extra hash: %w", err)
	}
	return []stark.Felt{digest, stark.FromUint64(uint64(c.Epoch)<<8 | uint64(c.Round)), extra}, nil
}

// ReportHash returns the Pedersen hash of the context and of a report's words, including the gas price, as the contract
// computes it. It accepts reports that Transmit would refuse.
func (c Context) ReportHash(report []byte) (stark.Felt, error) {
	if len(report) == 0 || len(report)%word != 0 {
		return stark.Felt{}, fmt.Errorf("a report of %d bytes has no words of %d", len(report), word)
	}
	elements, err := c.felts()
	if err != nil {
		return stark.Felt{}, err
	}
	for i := 0; i < len(report); i += word {
		element, err := stark.FromBytes(report[i : i+word])
		if err != nil {
			return stark.Felt{}, fmt.Errorf("word %d of the report: %w", i/word, err)
		}
		elements = append(elements, element)
	}
	return stark.PedersenArray(elements...), nil
}

// Signature is one oracle's signature over a report.
type Signature struct {
	Public stark.Felt
	stark.Signature
}

// ParseSignature reads the 96 bytes of an oracle's signature: public key, r and s.
func ParseSignature(signature []byte) (Signature, error) {
	if len(signature) != 3*word {
		return Signature{}, fmt.Errorf("it must be public key, r and s in 96 bytes, got %d", len(signature))
	}
	var parts [3]stark.Felt
	for i, name := range []string{"public key", "r", "s"} {
		var err error
		if parts[i], err = stark.FromBytes(signature[i*word : (i+1)*word]); err != nil {
			return Signature{}, fmt.Errorf("its %s: %w", name, err)
		}
	}
	return Signature{Public: parts[0], Signature: stark.Signature{R: parts[1], S: parts[2]}}, nil
}

// Transmit returns the calldata of a transmission. The signatures have the form of ParseSignature.
func Transmit(context Context, report []byte, signatures [][]byte) ([]stark.Felt, error) {
	words, err := parseReport(report)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if len(report) != word*len(words) {
		return nil, fmt.Errorf("report: it has %d bytes, %d more than its words", len(report), len(report)-word*len(words))
	}
	if len(signatures) == 0 || len(signatures) > MaxOracles {
		return nil, fmt.Errorf("signatures: the contract takes 1 to %d, got %d", MaxOracles, len(signatures))
	}
	calldata, err := context.felts()
	if err != nil {
		return nil, fmt.Errorf("report_context: %w", err)
	}
	calldata = append(append(calldata, words...), stark.FromUint64(uint64(len(signatures))))
	for i, bytes := range signatures {
		s, err := ParseSignature(bytes)
		if err != nil {
			return nil, fmt.Errorf("signatures[%d]: %w", i, err)
		}
		calldata = append(calldata, s.R, s.S, s.Public)
	}
	return calldata, nil
}
