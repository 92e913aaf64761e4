package ocr3

import (
	"fmt"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/types/known/durationpb"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/reporting"
)

// This file holds every translation between the contract's types and libocr's. Values from a plugin were checked
// against the contract's rules on their way in. What those rules do not bound is checked here.

func configTo(c ocr3types.ReportingPluginConfig) *reportingv1.CreateOcr3PluginRequest {
	return &reportingv1.CreateOcr3PluginRequest{
		ConfigDigest:                            c.ConfigDigest[:],
		OracleId:                                uint32(c.OracleID),
		N:                                       uint32(c.N),
		F:                                       uint32(c.F),
		OnchainConfig:                           c.OnchainConfig,
		OffchainConfig:                          c.OffchainConfig,
		EstimatedRoundInterval:                  durationpb.New(c.EstimatedRoundInterval),
		MaxDurationQuery:                        durationpb.New(c.MaxDurationQuery),
		MaxDurationObservation:                  durationpb.New(c.MaxDurationObservation),
		MaxDurationShouldAcceptAttestedReport:   durationpb.New(c.MaxDurationShouldAcceptAttestedReport),
		MaxDurationShouldTransmitAcceptedReport: durationpb.New(c.MaxDurationShouldTransmitAcceptedReport),
	}
}

func infoOf(r *reportingv1.CreateOcr3PluginResponse) ocr3types.ReportingPluginInfo {
	l := r.GetLimits()
	return ocr3types.ReportingPluginInfo{
		Name: r.GetProduct(),
		Limits: ocr3types.ReportingPluginLimits{
			MaxQueryLength:       int(l.GetMaxQueryLength()),
			MaxObservationLength: int(l.GetMaxObservationLength()),
			MaxOutcomeLength:     int(l.GetMaxOutcomeLength()),
			MaxReportLength:      int(l.GetMaxReportLength()),
			MaxReportCount:       int(l.GetMaxReportCount()),
		},
	}
}

// contextTo leaves out epoch and round. libocr has them for code that was written for OCR2, and asks nobody to rely on
// them.
func contextTo(c ocr3types.OutcomeContext) *reportingv1.OutcomeContext {
	return &reportingv1.OutcomeContext{SeqNr: c.SeqNr, PreviousOutcome: c.PreviousOutcome}
}

func observationTo(o types.AttributedObservation) *reportingv1.AttributedObservation {
	return &reportingv1.AttributedObservation{Observation: o.Observation, Observer: uint32(o.Observer)}
}

func reportTo(r ocr3types.ReportWithInfo[Info]) *reportingv1.ReportWithInfo {
	return &reportingv1.ReportWithInfo{Report: r.Report, Info: r.Info}
}

// Fits checks a product's result against its declared limits. libocr would drop a result beyond them with only a line
// in its log.
func Fits[N uint32 | int](what string, have int, declared N) error {
	if have <= int(declared) {
		return nil
	}
	return fmt.Errorf("%s: has %d bytes; the product declared %d", what, have, declared)
}

// reportsOf reads reports for a network of n oracles. A schedule that cannot be kept is an error for all oracles alike:
// libocr would gather signatures and then send nothing, with only a line in its log.
func reportsOf(
	r *reportingv1.Ocr3PluginServiceReportsResponse,
	n int,
	limits *reportingv1.Ocr3PluginLimits,
) ([]ocr3types.ReportPlus[Info], error) {
	if have, most := len(r.GetReports()), limits.GetMaxReportCount(); have > int(most) {
		return nil, fmt.Errorf("reports: has %d of them; the product declared max_report_count %d", have, most)
	}
	of := make([]ocr3types.ReportPlus[Info], len(r.GetReports()))
	for i, report := range r.GetReports() {
		err := Fits("report", len(report.GetReport().GetReport()), limits.GetMaxReportLength())
		if err == nil {
			err = Fits("info", len(report.GetReport().GetInfo()), limits.GetMaxReportInfoLength())
		}
		if err != nil {
			return nil, fmt.Errorf("reports[%d].report.%w", i, err)
		}
		if err := reporting.CheckSchedule(report.GetSchedule(), n); err != nil {
			return nil, fmt.Errorf("reports[%d].schedule.%w", i, err)
		}
		of[i] = ocr3types.ReportPlus[Info]{
			ReportWithInfo: ocr3types.ReportWithInfo[Info]{
				Report: report.GetReport().GetReport(),
				Info:   report.GetReport().GetInfo(),
			},
			TransmissionScheduleOverride: scheduleOf(report.GetSchedule()),
		}
	}
	return of, nil
}

func scheduleOf(s *reportingv1.TransmissionSchedule) *ocr3types.TransmissionSchedule {
	if s == nil {
		return nil
	}
	of := &ocr3types.TransmissionSchedule{
		Transmitters:       make([]commontypes.OracleID, len(s.GetTransmitters())),
		TransmissionDelays: make([]time.Duration, len(s.GetDelays())),
	}
	for i, id := range s.GetTransmitters() {
		of.Transmitters[i] = commontypes.OracleID(id)
		of.TransmissionDelays[i] = s.GetDelays()[i].AsDuration()
	}
	return of
}
