package ocr3

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/types/known/durationpb"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// median is a small median over OCR3, written against libocr's own interface. An observation is a value of 8 bytes, an
// outcome the latest medians, and there is a report of each.
type median struct{ f int }

var _ ocr3types.ReportingPlugin[Info] = median{}

const mediansKept = 3

func (median) Query(_ context.Context, at ocr3types.OutcomeContext) (types.Query, error) {
	return fmt.Appendf(nil, "query %d", at.SeqNr), nil
}

func (median) Observation(_ context.Context, at ocr3types.OutcomeContext,
	query types.Query) (types.Observation, error) {
	return binary.BigEndian.AppendUint64(nil, at.SeqNr+uint64(len(query))), nil
}

func (median) ValidateObservation(_ context.Context, _ ocr3types.OutcomeContext, _ types.Query,
	o types.AttributedObservation) error {
	if len(o.Observation) != 8 {
		return fmt.Errorf("it has %d bytes", len(o.Observation))
	}
	return nil
}

func (m median) ObservationQuorum(_ context.Context, _ ocr3types.OutcomeContext, _ types.Query,
	all []types.AttributedObservation) (bool, error) {
	return len(all) > 2*m.f, nil
}

func (m median) Outcome(ctx context.Context, at ocr3types.OutcomeContext, query types.Query,
	all []types.AttributedObservation) (ocr3types.Outcome, error) {
	var values []uint64
	for _, o := range all {
		if m.ValidateObservation(ctx, at, query, o) == nil {
			values = append(values, binary.BigEndian.Uint64(o.Observation))
		}
	}
	if len(values) <= m.f {
		return nil, fmt.Errorf("only %d of %d observations are valid", len(values), len(all))
	}
	slices.Sort(values)
	if values[0] == 0 {
		return nil, nil // an outcome may be empty
	}
	outcome := append(slices.Clone(at.PreviousOutcome), binary.BigEndian.AppendUint64(nil, values[len(values)/2])...)
	return outcome[max(0, len(outcome)-8*mediansKept):], nil
}

func (median) Reports(_ context.Context, seqNr uint64,
	outcome ocr3types.Outcome) ([]ocr3types.ReportPlus[Info], error) {
	if len(outcome)%8 != 0 {
		return nil, errors.New("the outcome is cut off")
	}
	var reports []ocr3types.ReportPlus[Info]
	for i, b := range slices.Collect(slices.Chunk(outcome, 8)) {
		r := ocr3types.ReportPlus[Info]{
			ReportWithInfo: ocr3types.ReportWithInfo[Info]{Report: binary.BigEndian.AppendUint64(bytes.Clone(b), seqNr)}}
		if i == 1 {
			r.ReportWithInfo.Info = Info{byte(seqNr)}
			r.TransmissionScheduleOverride = &ocr3types.TransmissionSchedule{Transmitters: []commontypes.OracleID{3, 1},
				TransmissionDelays: []time.Duration{0, time.Duration(seqNr)}}
		}
		reports = append(reports, r)
	}
	return reports, nil
}

func (median) ShouldAcceptAttestedReport(context.Context, uint64, ocr3types.ReportWithInfo[Info]) (bool, error) {
	return true, nil
}

func (median) ShouldTransmitAcceptedReport(context.Context, uint64, ocr3types.ReportWithInfo[Info]) (bool, error) {
	return true, nil
}

func (median) Close() error { return nil }

func attributed(o *reportingv1.AttributedObservation) types.AttributedObservation {
	return types.AttributedObservation{Observation: o.GetObservation(), Observer: commontypes.OracleID(o.GetObserver())}
}

func attributedAll(all []*reportingv1.AttributedObservation) (of []types.AttributedObservation) {
	for _, o := range all {
		of = append(of, attributed(o))
	}
	return of
}

// served are libocr's reports as the contract has them.
func served(reports []ocr3types.ReportPlus[Info]) *reportingv1.Ocr3PluginServiceReportsResponse {
	response := &reportingv1.Ocr3PluginServiceReportsResponse{}
	for _, r := range reports {
		to := &reportingv1.ReportPlus{Report: &reportingv1.ReportWithInfo{Report: r.ReportWithInfo.Report,
			Info: r.ReportWithInfo.Info}}
		if s := r.TransmissionScheduleOverride; s != nil {
			to.Schedule = &reportingv1.TransmissionSchedule{}
			for i, id := range s.Transmitters {
				to.Schedule.Transmitters = append(to.Schedule.Transmitters, uint32(id))
				to.Schedule.Delays = append(to.Schedule.Delays, durationpb.New(s.TransmissionDelays[i]))
			}
		}
		response.Reports = append(response.Reports, to)
	}
	return response
}

// TestRoundsAreThoseOfADirectCall makes random rounds on the median behind the boundary and on the same code called
// directly.
func TestRoundsAreThoseOfADirectCall(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "process "} {
		t.Run(map[string]string{"": "in process", "process ": "out of process"}[mode], func(t *testing.T) {
			t.Parallel()
			compareRounds(t, newParts(t, mode).instance())
		})
	}
}

// TestPythonRoundsAreThoseOfADirectCall compares the same median in Python with that in Go.
func TestPythonRoundsAreThoseOfADirectCall(t *testing.T) {
	t.Parallel()
	python := os.Getenv("LOOP_TEST_PYTHON")
	if python == "" {
		t.Skip("LOOP_TEST_PYTHON names no Python that has the plugins: run make test-python")
	}
	program, err := filepath.Abs("../../../../sdk/python/tests/fake_product.py")
	if err != nil {
		t.Fatal(err)
	}
	compareRounds(t, newPartsOf(t, loophost.PluginSettings{Name: "fake", Command: []string{python, program}}).instance())
}

// compareRounds makes random rounds on a median and on the one of this package called directly.
func compareRounds(t *testing.T, behind ocr3types.ReportingPlugin[Info]) {
	t.Helper()
	rounds := 10_000
	if testing.Short() {
		rounds = 200
	}
	direct, random := median{f: 1}, rand.New(rand.NewPCG(12, uint64(rounds)))
	var previous ocr3types.Outcome
	outcomes, refused := 0, 0
	for seqNr := uint64(1); seqNr <= uint64(rounds); seqNr++ {
		at := ocr3types.OutcomeContext{SeqNr: seqNr, PreviousOutcome: previous}
		query, all := types.Query(randomBytes(random, 20)), randomObservations(random)
		same(t, seqNr, "ValidateObservation", all[0], func(p ocr3types.ReportingPlugin[Info]) (any, error) {
			return nil, p.ValidateObservation(t.Context(), at, query, all[0])
		}, behind, direct)
		same(t, seqNr, "ObservationQuorum", all, func(p ocr3types.ReportingPlugin[Info]) (any, error) {
			return p.ObservationQuorum(t.Context(), at, query, all)
		}, behind, direct)
		outcome, err := same(t, seqNr, "Outcome", all, func(p ocr3types.ReportingPlugin[Info]) (any, error) {
			return p.Outcome(t.Context(), at, query, all)
		}, behind, direct)
		if err != nil {
			refused++
			continue
		}
		outcomes++
		previous = outcome.(ocr3types.Outcome)
		if random.IntN(50) == 0 {
			previous = previous[:len(previous)/2]
		}
		same(t, seqNr, "Reports", previous, func(p ocr3types.ReportingPlugin[Info]) (any, error) {
			return p.Reports(t.Context(), seqNr, previous)
		}, behind, direct)
		if t.Failed() {
			return
		}
	}
	if outcomes < rounds/2 || refused < rounds/20 {
		t.Errorf("%d outcomes and %d refusals: the rounds try too little", outcomes, refused)
	}
}

// same calls both and compares what they answer, and whether they err.
func same(t *testing.T, seqNr uint64, method string, of any, call func(ocr3types.ReportingPlugin[Info]) (any, error),
	behind, direct ocr3types.ReportingPlugin[Info]) (any, error) {
	t.Helper()
	got, err := call(behind)
	want, wantErr := call(direct)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("round %d, %s of %v: error %v; called directly: %v", seqNr, method, of, err, wantErr)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" && err == nil {
		t.Errorf("round %d, %s of %v (-direct +behind):\n%s", seqNr, method, of, d)
	}
	return want, wantErr
}

func randomBytes(random *rand.Rand, most int) []byte {
	b := make([]byte, random.IntN(most+1))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// randomObservations are those of up to 4 oracles, and some of them cannot be used.
func randomObservations(random *rand.Rand) []types.AttributedObservation {
	var all []types.AttributedObservation
	for _, id := range random.Perm(4)[:1+random.IntN(4)] {
		o := types.AttributedObservation{Observer: commontypes.OracleID(id),
			Observation: binary.BigEndian.AppendUint64(nil, random.Uint64N(1000))}
		if random.IntN(8) == 0 {
			o.Observation = randomBytes(random, 12)
		}
		all = append(all, o)
	}
	return all
}
