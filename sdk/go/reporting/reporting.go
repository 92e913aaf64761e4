// Package reporting holds what the contract says about OCR3's reporting plugins in words and no rule of a field can
// say: how many observations are a quorum, which limits a message can hold, which schedules are possible, and what
// identifies a report. Hosts check plugins by it, and so do tests without a host.
//
// It must not know libocr, nor any product.
package reporting

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

const (
	mib = 1 << 20
	// maxPayload is what a plugin's own bytes may take of the 16 MiB that a message may have (wire.MaxMessageBytes).
	// What remains is for the fields around them.
	maxPayload = 15 * mib
	// scheduleBytes bounds a report's schedule in a message: at most 31 oracles (libocr's MaxOracles), each with its
	// index and a Duration of at most 20 bytes.
	scheduleBytes = 1 << 10
)

// CheckLimits returns why messages of an instance in a network of n oracles could be too large, or nil.
func CheckLimits(l *reportingv1.Ocr3PluginLimits, n uint32) error {
	query, outcome, observation := uint64(
		l.GetMaxQueryLength(),
	), uint64(
		l.GetMaxOutcomeLength(),
	), uint64(
		l.GetMaxObservationLength(),
	)
	if total := query + outcome + uint64(n)*observation; total > maxPayload {
		return fmt.Errorf(
			"the call Outcome could carry %d bytes, and %d is the most: max_query_length %d + max_outcome_length %d + %d "+
				"oracles * max_observation_length %d; declare smaller limits",
			total,
			uint64(maxPayload),
			query,
			outcome,
			n,
			observation,
		)
	}
	count, report, info := uint64(
		l.GetMaxReportCount(),
	), uint64(
		l.GetMaxReportLength(),
	), uint64(
		l.GetMaxReportInfoLength(),
	)
	if total := count * (report + info + scheduleBytes); total > maxPayload {
		return fmt.Errorf(
			"the answer to Reports could carry %d bytes, and %d is the most: max_report_count %d * (max_report_length %d + "+
				"max_report_info_length %d + %d for a schedule); declare smaller limits",
			total,
			uint64(maxPayload),
			count,
			report,
			info,
			scheduleBytes,
		)
	}
	return nil
}

// QuorumSize returns how many valid observations make an outcome in a network of n oracles of which f may be faulty. If
// no number says it, ok is false, and the instance must be asked.
func QuorumSize(q reportingv1.ObservationQuorum, n, f int) (size int, ok bool) {
	switch q {
	case reportingv1.ObservationQuorum_OBSERVATION_QUORUM_F_PLUS_ONE:
		return f + 1, true
	case reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE:
		return 2*f + 1, true
	case reportingv1.ObservationQuorum_OBSERVATION_QUORUM_BYZ_QUORUM:
		return (n+f)/2 + 1, true
	case reportingv1.ObservationQuorum_OBSERVATION_QUORUM_N_MINUS_F:
		return n - f, true
	default:
		return 0, false
	}
}

// CheckSchedule returns why nobody could follow a report's schedule in a network of n oracles, or nil. An absent
// schedule means that of the configuration.
func CheckSchedule(s *reportingv1.TransmissionSchedule, n int) error {
	if s == nil {
		return nil
	}
	if have, want := len(s.GetDelays()), len(s.GetTransmitters()); have != want {
		return fmt.Errorf("delays: has %d elements for %d transmitters", have, want)
	}
	seen := map[uint32]bool{}
	for i, id := range s.GetTransmitters() {
		if int(id) >= n {
			return fmt.Errorf("transmitters[%d]: is %d, and the network has oracles 0 to %d", i, id, n-1)
		}
		if seen[id] {
			return fmt.Errorf("transmitters[%d]: names oracle %d a second time", i, id)
		}
		seen[id] = true
		if d := s.GetDelays()[i].AsDuration(); d < 0 {
			return fmt.Errorf("delays[%d]: is %s, before the report has its signatures", i, d)
		}
	}
	return nil
}

// ReportID identifies the reports of one outcome: two equal reports have the same id, and need one transmission.
func ReportID(r *reportingv1.ReportWithInfo) [sha256.Size]byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(r.GetReport()))))
	h.Write(r.GetReport())
	h.Write(r.GetInfo())
	return [sha256.Size]byte(h.Sum(nil))
}
