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

// Vector is an instance and the calls to it, in order.
type Vector struct {
	// Name is unique, such as report/deviation-below.
	Name string `json:"name"`
	// About says what the vector shows, in one phrase.
	About  string `json:"about"`
	Config Config `json:"config"`
	// Sources are the values of the sources, in decimal.
	Sources Sources `json:"sources"`
	// Contract is the contract's state until a step changes it.
	Contract Contract `json:"contract"`
	Steps    []Step   `json:"steps"`
}

// Config is the configuration of an instance. Its digest is 32 bytes of 1.
type Config struct {
	N        uint32 `json:"n"`
	F        uint32 `json:"f"`
	OracleID uint32 `json:"oracle_id"`
	// Onchain and Offchain are the bytes of the configurations.
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

// Contract is the state that a contract shows.
type Contract struct {
	// Digest is the byte that the config digest consists of.
	Digest uint8  `json:"digest"`
	Epoch  uint32 `json:"epoch"`
	Round  uint32 `json:"round"`
	Answer string `json:"answer"`
	// AgeSeconds is how long ago the latest transmission was.
	AgeSeconds int64 `json:"age_seconds"`
	// Requested is the round that somebody asked for; absent if there is none.
	Requested *Requested `json:"requested,omitempty"`
	// MaxReportLength overrides the codec's bound; 0 means 77 bytes for each oracle.
	MaxReportLength uint32 `json:"max_report_length,omitempty"`
}

// Requested is a round that somebody asked for.
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
	// Contract replaces the contract's state, before the call and from then on.
	Contract *Contract `json:"contract,omitempty"`
	Epoch    uint32    `json:"epoch"`
	Round    uint32    `json:"round"`
	// Query is an argument of observation and report.
	Query Hex `json:"query,omitempty"`
	// Observations are an argument of report.
	Observations []Observation `json:"observations,omitempty"`
	// Report is an argument of accept and transmit.
	Report Hex    `json:"report,omitempty"`
	Want   Answer `json:"want"`
}

// Observation is the observation of one oracle.
type Observation struct {
	Observer    uint32 `json:"observer"`
	Observation Hex    `json:"observation"`
}

// Answer is the answer that a call must give.
type Answer struct {
	// Error means that the call fails with FAILED_PRECONDITION or INVALID_ARGUMENT, and the rest is empty.
	Error bool `json:"error,omitempty"`
	// Yes is should_report, should_accept or should_transmit.
	Yes bool `json:"yes,omitempty"`
	// Bytes are the query, the report, or the observation without its field 1, which holds its time.
	Bytes Hex `json:"bytes,omitempty"`
}

// Hex is bytes written in hexadecimal.
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
