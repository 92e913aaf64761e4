package ocr2

import (
	"fmt"
	"math"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/types/known/durationpb"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// ObservationsTo writes oracles' observations, in their order.
func ObservationsTo(observations []types.AttributedObservation) []*reportingv1.AttributedObservation {
	to := make([]*reportingv1.AttributedObservation, len(observations))
	for i, o := range observations {
		to[i] = &reportingv1.AttributedObservation{Observation: o.Observation, Observer: uint32(o.Observer)}
	}
	return to
}

// ObservationsOf reads oracles' observations, in their order.
func ObservationsOf(observations []*reportingv1.AttributedObservation) ([]types.AttributedObservation, error) {
	of := make([]types.AttributedObservation, len(observations))
	for i, o := range observations {
		observer, err := oracleOf(fmt.Sprintf("observations[%d].observer", i), o.GetObserver())
		if err != nil {
			return nil, err
		}
		of[i] = types.AttributedObservation{Observation: o.GetObservation(), Observer: observer}
	}
	return of, nil
}

// PluginConfigTo writes the configuration of a reporting plugin. The caller adds the object's name.
func PluginConfigTo(c types.ReportingPluginConfig) *reportingv1.CreateReportingPluginRequest {
	return &reportingv1.CreateReportingPluginRequest{
		ConfigDigest:                            c.ConfigDigest[:],
		OracleId:                                uint32(c.OracleID),
		N:                                       uint32(c.N),
		F:                                       uint32(c.F),
		OnchainConfig:                           c.OnchainConfig,
		OffchainConfig:                          c.OffchainConfig,
		EstimatedRoundInterval:                  durationpb.New(c.EstimatedRoundInterval),
		MaxDurationQuery:                        durationpb.New(c.MaxDurationQuery),
		MaxDurationObservation:                  durationpb.New(c.MaxDurationObservation),
		MaxDurationReport:                       durationpb.New(c.MaxDurationReport),
		MaxDurationShouldAcceptFinalizedReport:  durationpb.New(c.MaxDurationShouldAcceptFinalizedReport),
		MaxDurationShouldTransmitAcceptedReport: durationpb.New(c.MaxDurationShouldTransmitAcceptedReport),
	}
}

// PluginConfigOf reads the configuration of a reporting plugin.
func PluginConfigOf(r *reportingv1.CreateReportingPluginRequest) (types.ReportingPluginConfig, error) {
	digest, err := DigestOf("config_digest", r.GetConfigDigest())
	if err != nil {
		return types.ReportingPluginConfig{}, err
	}
	oracle, err := oracleOf("oracle_id", r.GetOracleId())
	if err != nil {
		return types.ReportingPluginConfig{}, err
	}
	return types.ReportingPluginConfig{
		ConfigDigest:                            digest,
		OracleID:                                oracle,
		N:                                       int(r.GetN()),
		F:                                       int(r.GetF()),
		OnchainConfig:                           r.GetOnchainConfig(),
		OffchainConfig:                          r.GetOffchainConfig(),
		EstimatedRoundInterval:                  r.GetEstimatedRoundInterval().AsDuration(),
		MaxDurationQuery:                        r.GetMaxDurationQuery().AsDuration(),
		MaxDurationObservation:                  r.GetMaxDurationObservation().AsDuration(),
		MaxDurationReport:                       r.GetMaxDurationReport().AsDuration(),
		MaxDurationShouldAcceptFinalizedReport:  r.GetMaxDurationShouldAcceptFinalizedReport().AsDuration(),
		MaxDurationShouldTransmitAcceptedReport: r.GetMaxDurationShouldTransmitAcceptedReport().AsDuration(),
	}, nil
}

// PluginInfoTo writes what a reporting plugin reports about itself. A limit that the message cannot hold is an error
// that names it.
func PluginInfoTo(info types.ReportingPluginInfo) (*reportingv1.CreateReportingPluginResponse, error) {
	to := &reportingv1.ReportingPluginLimits{}
	for _, limit := range []struct {
		name string
		is   int
		to   *uint32
	}{
		{"MaxQueryLength", info.Limits.MaxQueryLength, &to.MaxQueryLength},
		{"MaxObservationLength", info.Limits.MaxObservationLength, &to.MaxObservationLength},
		{"MaxReportLength", info.Limits.MaxReportLength, &to.MaxReportLength},
	} {
		if limit.is < 0 || limit.is > math.MaxUint32 {
			return nil, fmt.Errorf("%s of %d bytes is not one that the contract can carry", limit.name, limit.is)
		}
		*limit.to = uint32(limit.is)
	}
	return &reportingv1.CreateReportingPluginResponse{Product: info.Name, UniqueReports: info.UniqueReports,
		Limits: to}, nil
}

// PluginInfoOf reads what a reporting plugin reports about itself. Its limits fit: an int has at least 64 bits wherever
// libocr runs a network, and libocr refuses limits above 256 MiB.
func PluginInfoOf(r *reportingv1.CreateReportingPluginResponse) types.ReportingPluginInfo {
	return types.ReportingPluginInfo{
		Name:          r.GetProduct(),
		UniqueReports: r.GetUniqueReports(),
		Limits: types.ReportingPluginLimits{
			MaxQueryLength:       int(r.GetLimits().GetMaxQueryLength()),
			MaxObservationLength: int(r.GetLimits().GetMaxObservationLength()),
			MaxReportLength:      int(r.GetLimits().GetMaxReportLength()),
		},
	}
}
