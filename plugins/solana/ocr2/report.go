package ocr2

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
)

// ReportLength is the length of every report.
const ReportLength = 61

// Offsets of a report, which is big-endian.
const (
	observerCountAt = 4
	observersAt     = 5
	medianAt        = 37
	juelsAt         = 53
)

// Observation is one oracle's part of a report.
type Observation struct {
	Time            uint32
	Value           *big.Int
	JuelsPerFeeCoin *big.Int
	Observer        uint8
}

// Report is what the oracles agreed on.
type Report struct {
	Time uint32
	// Observers in the order of their values; those of equal values stand as BuildReport says.
	Observers       []uint8
	Median          *big.Int
	JuelsPerFeeCoin *big.Int
}

// BuildReport makes the report of some observations: the median of times, of juels and of values, each by itself. Of an
// even number it is the upper one.
//
// Every oracle must make the same bytes, since each signs them. The established node's codec (chainlink-solana's
// pkg/solana/report.go) sorts one slice by time, then by juels, then by value, each time with sort.Slice, which is not
// stable: the order of observers with equal values comes of all three. No other sort will do, and none may begin anew.
func BuildReport(observations []Observation) ([]byte, error) {
	n := len(observations)
	if n == 0 || n > MaxOracles {
		return nil, fmt.Errorf("a report holds 1 to %d observations, got %d", MaxOracles, n)
	}
	for i, o := range observations {
		if o.Value == nil || o.JuelsPerFeeCoin == nil {
			return nil, fmt.Errorf("observation %d has no value or no juels per fee coin", i)
		}
	}
	sorted := slices.Clone(observations)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Time < sorted[j].Time })
	report := binary.BigEndian.AppendUint32(make([]byte, 0, ReportLength), sorted[n/2].Time)
	report = append(report, byte(n))
	report = report[:ReportLength]
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].JuelsPerFeeCoin.Cmp(sorted[j].JuelsPerFeeCoin) < 0 })
	// The program reads 8 unsigned bytes and the deployed codec writes signed ones: what both take is below 2^63.
	if juels := sorted[n/2].JuelsPerFeeCoin; juels.Sign() < 0 || !putSigned(report[juelsAt:], juels) {
		return nil, errors.New("juels per fee coin are negative or do not fit into 63 bits")
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Value.Cmp(sorted[j].Value) < 0 })
	if !putSigned(report[medianAt:juelsAt], sorted[n/2].Value) {
		return nil, errors.New("the median does not fit into 128 bits")
	}
	for i, o := range sorted {
		report[observersAt+i] = o.Observer
	}
	return report, nil
}

// ParseReport reads a report.
func ParseReport(text []byte) (Report, error) {
	if len(text) != ReportLength {
		return Report{}, fmt.Errorf("a report has %d bytes, got %d", ReportLength, len(text))
	}
	n := int(text[observerCountAt])
	if n == 0 || n > MaxOracles {
		return Report{}, fmt.Errorf("a report has 1 to %d observers, got %d", MaxOracles, n)
	}
	return Report{
		Time: binary.BigEndian.Uint32(text), Observers: slices.Clone(text[observersAt : observersAt+n]),
		Median: signed(text[medianAt:juelsAt]), JuelsPerFeeCoin: new(big.Int).SetBytes(text[juelsAt:]),
	}, nil
}

// ReportHash returns sha256(length of the report in a byte || report || context), as the program computes it. Without
// the length it is the hash of other tools, which no deployed program accepts.
func ReportHash(context [3][32]byte, report []byte) ([]byte, error) {
	if len(report) > math.MaxUint8 {
		return nil, errors.New("the report is longer than its length's byte can say")
	}
	hash := sha256.New()
	hash.Write([]byte{byte(len(report))})
	hash.Write(report)
	for _, word := range context {
		hash.Write(word[:])
	}
	return hash.Sum(nil), nil
}
