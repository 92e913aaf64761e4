package solana

import (
	"context"
	"math"
	"math/big"

	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/plugins/solana/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// codec serves the pure services of a median provider. What it decodes is untrusted.
type codec struct {
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
}

// BuildReport implements medianv1.ReportCodecServiceServer.
func (codec) BuildReport(_ context.Context, request *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	observations := make([]ocr2.Observation, len(request.GetObservations()))
	for i, o := range request.GetObservations() {
		seconds := o.GetTimestamp().GetSeconds()
		if o.GetTimestamp() == nil || seconds < 0 || seconds > math.MaxUint32 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].timestamp: the report holds seconds in 32 bits, got %d", i, seconds)
		}
		if o.GetObserver() > math.MaxUint8 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].observer: the report holds 8 bits, got %d", i, o.GetObserver())
		}
		observations[i] = ocr2.Observation{
			Time: uint32(seconds), Value: wire.Int(o.GetValue()), JuelsPerFeeCoin: wire.Int(o.GetJuelsPerFeeCoin()), Observer: uint8(o.GetObserver()),
		}
	}
	report, err := ocr2.BuildReport(observations)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "observations: %v", err)
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

// MedianFromReport implements medianv1.ReportCodecServiceServer.
func (codec) MedianFromReport(_ context.Context, request *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	report, err := ocr2.ParseReport(request.GetReport())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(report.Median)}, nil
}

// MaxReportLength implements medianv1.ReportCodecServiceServer.
func (codec) MaxReportLength(context.Context, *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	return &medianv1.MaxReportLengthResponse{MaxReportLength: ocr2.ReportLength}, nil
}

// answerBits is the width of the program's bounds of answers.
const answerBits = 128

// EncodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) EncodeOnchainConfig(_ context.Context, request *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	lowest, highest := wire.Int(request.GetConfig().GetMin()), wire.Int(request.GetConfig().GetMax())
	switch {
	case !fits(lowest):
		return nil, status.Error(codes.InvalidArgument, "config.min: the contract holds signed integers of 128 bits")
	case !fits(highest):
		return nil, status.Error(codes.InvalidArgument, "config.max: the contract holds signed integers of 128 bits")
	case lowest.Cmp(highest) > 0:
		return nil, status.Error(codes.InvalidArgument, "config.min: it must not be above config.max")
	}
	encoded, err := ocr2.OnchainConfig(lowest, highest)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config: %v", err)
	}
	return &medianv1.EncodeOnchainConfigResponse{Encoded: encoded}, nil
}

func fits(i *big.Int) bool {
	if i == nil {
		return false
	}
	if i.Sign() < 0 {
		return new(big.Int).Not(i).BitLen() < answerBits
	}
	return i.BitLen() < answerBits
}

// DecodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) DecodeOnchainConfig(ctx context.Context, request *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	config, err := median.StandardOnchainConfigCodec{}.Decode(ctx, request.GetEncoded())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "encoded: %v", err)
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(config.Min), Max: wire.BigInt(config.Max)}}, nil
}
