package oracle

import (
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/proto"
)

// TestAhead holds that a clock is told from those of the others, whatever one of them says.
func TestAhead(t *testing.T) {
	t.Parallel()
	observed := func(oracle commontypes.OracleID, at uint32) types.AttributedObservation {
		b, err := proto.Marshal(&median.NumericalMedianObservationProto{Timestamp: at, Value: []byte{1},
			JuelsPerFeeCoin: []byte{2}})
		if err != nil {
			t.Fatal(err)
		}
		return types.AttributedObservation{Observation: b, Observer: oracle}
	}
	for name, c := range map[string]struct {
		observations []types.AttributedObservation
		want         time.Duration
		known        bool
	}{
		"alike": {[]types.AttributedObservation{observed(0, 100), observed(1, 100), observed(2, 101)},
			-time.Second, true},
		"ahead": {[]types.AttributedObservation{observed(1, 100), observed(0, 160), observed(3, 100),
			observed(2, 101)}, time.Minute, true},
		"one of them is wrong": {[]types.AttributedObservation{observed(0, 100), observed(1, 4e9), observed(2, 100),
			observed(3, 100)}, 0, true},
		"one other": {[]types.AttributedObservation{observed(0, 100), observed(1, 160)}, 0, false},
		"without its own": {[]types.AttributedObservation{observed(1, 100), observed(2, 100), observed(3, 100)}, 0,
			false},
		"nonsense": {[]types.AttributedObservation{
			observed(0, 100), {Observation: []byte{0x08}, Observer: 1}, {Observation: []byte{0xff}, Observer: 2}, {Observer: 3},
		}, 0, false},
	} {
		if got, known := ahead(c.observations, 0); got != c.want || known != c.known {
			t.Errorf("%s: %s, %t; want %s, %t", name, got, known, c.want, c.known)
		}
	}
}

// FuzzObservedAt holds that an oracle's bytes do no harm, and are read as libocr reads them.
func FuzzObservedAt(f *testing.F) {
	f.Add([]byte{0x0d, 100, 0, 0, 0})
	f.Add([]byte{0x08, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x12, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		at, ok := observedAt(b)
		var want median.NumericalMedianObservationProto
		if ok && proto.Unmarshal(b, &want) == nil && uint32(at.Unix()) != want.GetTimestamp() {
			t.Errorf("%x is of %s; libocr reads %d", b, at, want.GetTimestamp())
		}
	})
}
