package starknet

import (
	"context"
	"math"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// codec serves the pure services of a median provider. What it decodes is untrusted.
type codec struct {
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
}

// BuildReport implements medianv1.ReportCodecServiceServer.
func (codec) BuildReport(_ context.Context, request *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	observations := make([]aggregator.Observation, len(request.GetObservations()))
	for i, o := range request.GetObservations() {
		seconds := o.GetTimestamp().GetSeconds()
		if o.GetTimestamp() == nil || seconds < 0 || seconds > math.MaxUint32 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].timestamp: the report holds seconds in 32 bits, got %d", i, seconds)
		}
		if o.GetObserver() > math.MaxUint8 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].observer: the report holds 8 bits, got %d", i, o.GetObserver())
		}
		observations[i] = aggregator.Observation{
			Seconds: uint32(seconds), Value: wire.Int(o.GetValue()), JuelsPerFeeCoin: wire.Int(o.GetJuelsPerFeeCoin()), GasPrice: wire.Int(o.GetGasPriceSubunits()), Observer: uint8(o.GetObserver()),
		}
	}
	report, err := aggregator.BuildReport(observations)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

// MedianFromReport implements medianv1.ReportCodecServiceServer.
func (codec) MedianFromReport(_ context.Context, request *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	answer, err := aggregator.Median(request.GetReport())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(answer)}, nil
}

// MaxReportLength implements medianv1.ReportCodecServiceServer.
func (codec) MaxReportLength(_ context.Context, request *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	n := request.GetN()
	if n > aggregator.MaxOracles {
		return nil, status.Errorf(codes.InvalidArgument, "n: the contract takes at most %d oracles, got %d", aggregator.MaxOracles, n)
	}
	return &medianv1.MaxReportLengthResponse{MaxReportLength: uint32(aggregator.ReportLength(int(n)))}, nil
}

// EncodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) EncodeOnchainConfig(_ context.Context, request *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	config := request.GetConfig()
	encoded, err := aggregator.Onchain{Min: wire.Int(config.GetMin()), Max: wire.Int(config.GetMax())}.Encode()
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.%v", err)
	}
	return &medianv1.EncodeOnchainConfigResponse{Encoded: encoded}, nil
}

// DecodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) DecodeOnchainConfig(_ context.Context, request *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	config, err := aggregator.DecodeOnchain(request.GetEncoded())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "encoded: %v", err)
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(config.Min), Max: wire.BigInt(config.Max)}}, nil
}
