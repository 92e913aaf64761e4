package median

import (
	"context"
	"math"

	"github.com/smartcontractkit/libocr/commontypes"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// factory makes one job's instances. It implements medianv1loop.MedianFactory.
type factory struct {
	libocr  libocr.NumericalMedianFactory
	errors  *errorLog
	metrics *metrics
}

// CreateReportingPlugin implements reportingv1loop.ReportingPluginFactoryService. It asks the lent codecs to decode the
// on-chain configuration and for the length of a report.
func (f *factory) CreateReportingPlugin(ctx context.Context, request *reportingv1.CreateReportingPluginRequest) (reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	refuse := func(field, problem string) error {
		v := &wire.Violation{Field: field, Problem: problem}
		return v.Status(request.ProtoReflect().Descriptor().FullName()).Err()
	}
	// libocr decodes this one itself: only here can the refusal name the field.
	if _, err := libocr.DecodeOffchainConfig(request.GetOffchainConfig()); err != nil {
		return nil, nil, refuse("offchain_config", "does not decode as the numerical median's configuration: "+err.Error())
	}
	digest, err := types.BytesToConfigDigest(request.GetConfigDigest())
	if err != nil {
		return nil, nil, refuse("config_digest", err.Error())
	}
	if request.GetOracleId() > math.MaxUint8 {
		return nil, nil, refuse("oracle_id", "does not fit OCR2's 8 bits")
	}
	plugin, info, err := f.libocr.NewReportingPlugin(ctx, types.ReportingPluginConfig{
		ConfigDigest:                            digest,
		OracleID:                                commontypes.OracleID(request.GetOracleId()),
		N:                                       int(request.GetN()),
		F:                                       int(request.GetF()),
		OnchainConfig:                           request.GetOnchainConfig(),
		OffchainConfig:                          request.GetOffchainConfig(),
		EstimatedRoundInterval:                  request.GetEstimatedRoundInterval().AsDuration(),
		MaxDurationQuery:                        request.GetMaxDurationQuery().AsDuration(),
		MaxDurationObservation:                  request.GetMaxDurationObservation().AsDuration(),
		MaxDurationReport:                       request.GetMaxDurationReport().AsDuration(),
		MaxDurationShouldAcceptFinalizedReport:  request.GetMaxDurationShouldAcceptFinalizedReport().AsDuration(),
		MaxDurationShouldTransmitAcceptedReport: request.GetMaxDurationShouldTransmitAcceptedReport().AsDuration(),
	})
	if err != nil {
		return nil, nil, failure(ctx, err, codes.InvalidArgument)
	}
	limits, err := limitsOf(info.Limits)
	if err != nil {
		return nil, nil, err
	}
	return newInstance(plugin, f.metrics), &reportingv1.CreateReportingPluginResponse{
		Product:       info.Name,
		UniqueReports: info.UniqueReports,
		Limits:        limits,
	}, nil
}

// Close implements io.Closer: it ends the records of errors that are under way.
func (f *factory) Close() error {
	f.errors.close()
	return nil
}

func limitsOf(l types.ReportingPluginLimits) (*reportingv1.ReportingPluginLimits, error) {
	for _, n := range []int{l.MaxQueryLength, l.MaxObservationLength, l.MaxReportLength} {
		if n < 0 || n > math.MaxUint32 {
			return nil, status.Errorf(codes.Internal, "libocr's median states a limit of %d bytes, which the contract cannot carry", n)
		}
	}
	return &reportingv1.ReportingPluginLimits{
		MaxQueryLength:       uint32(l.MaxQueryLength),
		MaxObservationLength: uint32(l.MaxObservationLength),
		MaxReportLength:      uint32(l.MaxReportLength),
	}, nil
}
