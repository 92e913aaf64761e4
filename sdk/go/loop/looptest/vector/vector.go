// Package vector holds the known answers of the numerical median: what libocr's own median observes, reports, accepts
// and transmits, step by step. Every median plugin, in any language, must answer the same bytes.
//
// A median's answers depend on the codecs that are lent to it, so the vectors name one. An on-chain configuration is
// the byte 1 and then min and max. A report is, for each observation in the order in which the median gives them: the
// observer in one byte, the unix time in four, value, juels per fee coin and gas price subunits. Integers have 24 bytes
// in two's complement, big-endian. The answer of a report of n observations is the value of rank n/2, counted from 0.
//
// The data is computed by a test of plugins/median, which links libocr. This package must not.
package vector

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

//go:embed median.json
var median []byte

// Vector is one instance and what is asked of it in order.
type Vector struct {
	// Name is unique, such as report/deviation-below.
	Name string `json:"name"`
	// About says what is to be seen, one phrase.
	About  string `json:"about"`
	Config Config `json:"config"`
	// Sources are the sources' values in decimal.
	Sources Sources `json:"sources"`
	// Contract is what the contract shows until a step says otherwise.
	Contract Contract `json:"contract"`
	Steps    []Step   `json:"steps"`
}

// Config is an instance's configuration. Its digest is 32 bytes of 1.
type Config struct {
	N        uint32 `json:"n"`
	F        uint32 `json:"f"`
	OracleID uint32 `json:"oracle_id"`
	// Onchain and Offchain are the configurations' bytes.
	Onchain  Hex `json:"onchain"`
	Offchain Hex `json:"offchain"`
	// IncludeGas is CreateMedianFactoryRequest.include_gas_price_subunits.
	IncludeGas bool `json:"include_gas,omitempty"`
}

// Sources are the values of the job's sources.
type Sources struct {
	Value string `json:"value"`
	Juels string `json:"juels"`
	Gas   string `json:"gas"`
}

// Contract is what the contract shows.
type Contract struct {
	// Digest is the byte that the config digest consists of.
	Digest uint8  `json:"digest"`
	Epoch  uint32 `json:"epoch"`
	Round  uint32 `json:"round"`
	Answer string `json:"answer"`
	// AgeSeconds is how long ago the latest transmission was.
	AgeSeconds int64 `json:"age_seconds"`
	// Requested is the round that somebody asked for; absent: none.
	Requested *Requested `json:"requested,omitempty"`
	// MaxReportLength overrides the codec's bound; 0: 77 bytes for each oracle.
	MaxReportLength uint32 `json:"max_report_length,omitempty"`
}

// Requested is a round that was asked for.
type Requested struct {
	Digest     uint8  `json:"digest"`
	Epoch      uint32 `json:"epoch"`
	Round      uint32 `json:"round"`
	AgeSeconds int64  `json:"age_seconds"`
}

// Step is one call.
type Step struct {
	// Call is query, observation, report, accept or transmit.
	Call string `json:"call"`
	// Contract replaces what the contract shows, before the call and from then on.
	Contract *Contract `json:"contract,omitempty"`
	Epoch    uint32    `json:"epoch"`
	Round    uint32    `json:"round"`
	// Query is given to observation and report.
	Query Hex `json:"query,omitempty"`
	// Observations are given to report.
	Observations []Observation `json:"observations,omitempty"`
	// Report is given to accept and transmit.
	Report Hex    `json:"report,omitempty"`
	Want   Answer `json:"want"`
}

// Observation is one oracle's.
type Observation struct {
	Observer    uint32 `json:"observer"`
	Observation Hex    `json:"observation"`
}

// Answer is what a call must answer.
type Answer struct {
	// Error: the call fails with FAILED_PRECONDITION or INVALID_ARGUMENT, and the rest is empty.
	Error bool `json:"error,omitempty"`
	// Yes is should_report, should_accept or should_transmit.
	Yes bool `json:"yes,omitempty"`
	// Bytes are the query, the report, or the observation without its field 1, the time at which it was made.
	Bytes Hex `json:"bytes,omitempty"`
}

// Hex is bytes, written in hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Median returns the median's vectors.
func Median() ([]Vector, error) {
	var all []Vector
	d := json.NewDecoder(bytes.NewReader(median))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("reading the median's vectors: %w", err)
	}
	return all, nil
}
