package reporting_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/reporting"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

const mib = 1 << 20

func TestCheckLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits *reportingv1.Ocr3PluginLimits
		n      uint32
		wants  []string // in the refusal; none: there is none
	}{
		"nothing": {&reportingv1.Ocr3PluginLimits{}, 31, nil},
		"a median's": {&reportingv1.Ocr3PluginLimits{MaxObservationLength: 100, MaxOutcomeLength: 4000,
			MaxReportLength: 1200, MaxReportCount: 1}, 31, nil},
		"all that a call may": {&reportingv1.Ocr3PluginLimits{MaxQueryLength: 4 * mib, MaxOutcomeLength: 5 * mib,
			MaxObservationLength: mib}, 6, nil},
		"one byte more": {&reportingv1.Ocr3PluginLimits{MaxQueryLength: 4*mib + 1, MaxOutcomeLength: 5 * mib,
			MaxObservationLength: mib}, 6, []string{"Outcome", "15728641", "15728640", "4194305", "5242880", "6 oracles",
			"1048576"}},
		"libocr's maxima": {&reportingv1.Ocr3PluginLimits{MaxQueryLength: 5 * mib, MaxOutcomeLength: 5 * mib,
			MaxObservationLength: mib}, 31, []string{"31 oracles", "42991616"}},
		"all that reports may": {&reportingv1.Ocr3PluginLimits{MaxReportCount: 2, MaxReportLength: 5 * mib,
			MaxReportInfoLength: 65536}, 4, nil},
		"one report more": {&reportingv1.Ocr3PluginLimits{MaxReportCount: 3, MaxReportLength: 5 * mib}, 4,
			[]string{"Reports", "15731712", "15728640", "max_report_count 3", "5242880"}},
		"reports of 32 bits": {&reportingv1.Ocr3PluginLimits{MaxReportCount: 2000, MaxReportLength: 5 * mib,
			MaxReportInfoLength: 65536}, 4, []string{"10618880000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := reporting.CheckLimits(c.limits, c.n)
			if (err != nil) != (len(c.wants) > 0) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
		})
	}
}

// TestLimitsFitMessages fills messages to limits that are let pass: what stands around the bytes must fit as well.
func TestLimitsFitMessages(t *testing.T) {
	t.Parallel()
	const n = 31
	limits := &reportingv1.Ocr3PluginLimits{MaxQueryLength: 5 * mib, MaxOutcomeLength: 5 * mib,
		MaxObservationLength: 5 * mib / n, MaxReportCount: 2000, MaxReportLength: 6840}
	if err := reporting.CheckLimits(limits, n); err != nil {
		t.Fatal(err)
	}
	observations := make([]*reportingv1.AttributedObservation, n)
	schedule := &reportingv1.TransmissionSchedule{}
	for i := range observations {
		observations[i] = &reportingv1.AttributedObservation{Observation: make([]byte, limits.MaxObservationLength),
			Observer: 254}
		schedule.Transmitters = append(schedule.Transmitters, 254)
		schedule.Delays = append(schedule.Delays, &durationpb.Duration{Seconds: 1 << 38, Nanos: 999_999_999})
	}
	reports := make([]*reportingv1.ReportPlus, limits.MaxReportCount)
	for i := range reports {
		reports[i] = &reportingv1.ReportPlus{
			Report: &reportingv1.ReportWithInfo{Report: make([]byte, limits.MaxReportLength)}, Schedule: schedule}
	}
	for name, m := range map[string]proto.Message{
		"Outcome": &reportingv1.Ocr3PluginServiceOutcomeRequest{
			Context: &reportingv1.OutcomeContext{SeqNr: 1 << 63, PreviousOutcome: make([]byte, limits.MaxOutcomeLength)},
			Query:   make([]byte, limits.MaxQueryLength), Observations: observations,
		},
		"Reports": &reportingv1.Ocr3PluginServiceReportsResponse{Reports: reports},
	} {
		if size := proto.Size(m); size > wire.MaxMessageBytes {
			t.Errorf("%s has %d bytes; a message may have %d", name, size, wire.MaxMessageBytes)
		}
	}
}

func TestQuorumSize(t *testing.T) {
	t.Parallel()
	sizes := map[reportingv1.ObservationQuorum]int{ // of 10 oracles of which 3 may be faulty
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_F_PLUS_ONE:     4,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE: 7,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_BYZ_QUORUM:     7,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_N_MINUS_F:      7,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_CALL:           0,
		reportingv1.ObservationQuorum_OBSERVATION_QUORUM_UNSPECIFIED:    0,
	}
	if len(sizes) != len(reportingv1.ObservationQuorum_name) {
		t.Errorf("%d of %d quorums are tried", len(sizes), len(reportingv1.ObservationQuorum_name))
	}
	for quorum, want := range sizes {
		if got, ok := reporting.QuorumSize(quorum, 10, 3); got != want || ok != (want > 0) {
			t.Errorf("%s of 10 oracles: %d, %t; want %d", quorum, got, ok, want)
		}
	}
	if got, _ := reporting.QuorumSize(reportingv1.ObservationQuorum_OBSERVATION_QUORUM_BYZ_QUORUM, 12, 1); got != 7 {
		t.Errorf("two sets of %d of 12 oracles may have 1 in common, which is the faulty one", got)
	}
}

func TestCheckSchedule(t *testing.T) {
	t.Parallel()
	schedule := func(delay time.Duration, ids ...uint32) *reportingv1.TransmissionSchedule {
		s := &reportingv1.TransmissionSchedule{Transmitters: ids}
		for range ids {
			s.Delays = append(s.Delays, durationpb.New(delay))
		}
		return s
	}
	short := schedule(0, 1, 2)
	short.Delays = short.Delays[:1]
	for want, s := range map[string]*reportingv1.TransmissionSchedule{
		"":                                  nil,
		" ":                                 schedule(time.Second, 3, 0, 2),
		"delays: has 1 elements for 2":      short,
		"transmitters[1]: is 4":             schedule(0, 3, 4),
		"transmitters[2]: names oracle 1 a": schedule(0, 1, 0, 1),
		"delays[0]: is -1s":                 schedule(-time.Second, 1),
	} {
		err := reporting.CheckSchedule(s, 4)
		if want = strings.TrimSpace(want); (err == nil) != (want == "") || !strings.HasPrefix(fmt.Sprint(err), want) &&
			want != "" {
			t.Errorf("a schedule of %v: error %v; want %q", s, err, want)
		}
	}
}

func TestReportID(t *testing.T) {
	t.Parallel()
	of := func(report, info string) []byte {
		id := reporting.ReportID(&reportingv1.ReportWithInfo{Report: []byte(report), Info: []byte(info)})
		return id[:]
	}
	if !bytes.Equal(of("ab", "c"), of("ab", "c")) || bytes.Equal(of("ab", "c"), of("a", "bc")) ||
		bytes.Equal(of("ab", ""), of("ab", "c")) {
		t.Error("equal reports have two ids, or others one")
	}
}
