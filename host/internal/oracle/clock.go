package oracle

import (
	"slices"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/encoding/protowire"
)

// timeField is the number of the field in which a median's observation has its time, in seconds since 1970: timestamp
// of libocr's NumericalMedianObservationProto.
const timeField = 1

// observedAt is when an observation of a median was made, by the clock of the oracle that made it.
func observedAt(observation types.Observation) (at time.Time, ok bool) {
	for b := []byte(observation); len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return at, false
		}
		b = b[n:]
		if number == timeField && kind == protowire.VarintType {
			seconds, n := protowire.ConsumeVarint(b)
			if n < 0 || seconds > 1<<32-1 {
				return at, false
			}
			at, ok, b = time.Unix(int64(seconds), 0), true, b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return at, false
		}
		b = b[n:]
	}
	return at, ok
}

// ahead is by how much this oracle's clock is ahead of the median of the others' clocks, by the observations of a
// round. It is not known unless this oracle and two others are among them: a single other clock may itself be wrong.
func ahead(observations []types.AttributedObservation, own commontypes.OracleID) (by time.Duration, known bool) {
	var mine time.Time
	var others []time.Time
	for _, o := range observations {
		at, ok := observedAt(o.Observation)
		switch {
		case !ok:
		case o.Observer == own:
			mine = at
		default:
			others = append(others, at)
		}
	}
	if mine.IsZero() || len(others) < 2 {
		return 0, false
	}
	slices.SortFunc(others, time.Time.Compare)
	return mine.Sub(others[len(others)/2]), true
}
