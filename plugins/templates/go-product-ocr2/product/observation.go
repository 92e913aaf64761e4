package product

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

const (
	bits               = 192 // of the contract's numbers
	longestObservation = 80  // a unix time of up to 10 digits, a blank, a sign and 58 digits, with room
)

// observation is what one oracle saw, as the bytes "TIME VALUE" in decimal digits.
type observation struct {
	at    int64 // unix time in seconds
	value *big.Int
}

func (o observation) encode() []byte { return fmt.Appendf(nil, "%d %s", o.at, o.value) }

// decode reads an observation, which any oracle may have written. It accepts only one spelling of each.
func decode(encoded []byte) (observation, error) {
	at, value, _ := strings.Cut(string(encoded), " ")
	seconds, err := strconv.ParseUint(at, 10, 32)
	number, ok := new(big.Int).SetString(value, 10)
	if len(encoded) > longestObservation || err != nil || !ok || !fits(number) {
		return observation{}, fmt.Errorf("%.100q is not a time in seconds and a number of %d bits", encoded, bits)
	}
	o := observation{int64(seconds), number}
	if !bytes.Equal(o.encode(), encoded) {
		return observation{}, fmt.Errorf("%.100q is spelled otherwise than %q", encoded, o.encode())
	}
	return o, nil
}

// fits reports whether a value fits the contract's signed integers.
func fits(v *big.Int) bool {
	if v.Sign() < 0 {
		v = new(big.Int).Not(v)
	}
	return v.BitLen() < bits
}

// runID is what a run of the pipeline is for: this round at this time, for a round may be asked for again much later.
func runID(at *reportingv1.ReportTimestamp, now int64) string {
	return fmt.Sprintf("%x/%d/%d/%d", at.GetConfigDigest(), at.GetEpoch(), at.GetRound(), now)
}

// integer reads a decimal, a JSON number or a text of one, and drops what is behind the point.
func integer(encoded []byte) (*big.Int, error) {
	text := string(bytes.TrimSpace(encoded))
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(encoded, &text); err != nil {
			return nil, status.Errorf(codes.FailedPrecondition, "the observationSource came to a text that is not JSON: %v", err)
		}
	}
	// big.Rat would make 1e1000000000 of that text, digit by digit.
	number, ok := new(big.Float).SetPrec(2048).SetString(text)
	if ok && !number.IsInf() && number.MantExp(nil) <= bits {
		if value, _ := number.Int(nil); fits(value) {
			return value, nil
		}
	}
	return nil, status.Errorf(codes.FailedPrecondition,
		"the observationSource came to %.100q, which is not a decimal of at most %d bits", text, bits)
}
