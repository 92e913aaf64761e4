package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Codec is the encoding of reports and on-chain configurations for a contract. Its input to decode is untrusted. Its
// errors become the plugin's answer, INVALID_ARGUMENT; those of BuildReport, MaxReportLength and EncodeOnchainConfig
// begin with the field that they are about: "observations", "n", "config".
type Codec interface {
	BuildReport(ctx context.Context, observations []Observation) ([]byte, error)
	// Median returns the answer in a report.
	Median(ctx context.Context, report []byte) (*big.Int, error)
	// MaxReportLength returns the length for n oracles, in bytes.
	MaxReportLength(ctx context.Context, n uint32) (uint32, error)
	// EncodeOnchainConfig writes the bounds of answers. A bound is nil if the caller gave none.
	EncodeOnchainConfig(ctx context.Context, lowest, highest *big.Int) ([]byte, error)
	DecodeOnchainConfig(ctx context.Context, encoded []byte) (lowest, highest *big.Int, err error)
}

// Observation is one oracle's part of a report. Its numbers are nil if the caller gave none.
type Observation struct {
	Seconds                                  uint32
	Value, JuelsPerFeeCoin, GasPriceSubunits *big.Int
	Observer                                 uint8
}

// Fits reports whether an integer is given and fits a signed integer of that many bits.
func Fits(i *big.Int, bits int) bool {
	if i == nil {
		return false
	}
	if i.Sign() < 0 {
		return new(big.Int).Not(i).BitLen() < bits
	}
	return i.BitLen() < bits
}

// CheckBounds refuses bounds of answers that are missing, need more bits than the contract holds, or are in the wrong
// order.
func CheckBounds(lowest, highest *big.Int, bits int) error {
	switch {
	case !Fits(lowest, bits):
		return fmt.Errorf("config.min: the contract holds signed integers of %d bits", bits)
	case !Fits(highest, bits):
		return fmt.Errorf("config.max: the contract holds signed integers of %d bits", bits)
	case lowest.Cmp(highest) > 0:
		return errors.New("config.min: it must not be above config.max")
	}
	return nil
}

// CodecServer serves the pure services of a median provider.
type CodecServer struct {
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
	Codec Codec
}

// BuildReport implements medianv1.ReportCodecServiceServer.
func (s CodecServer) BuildReport(ctx context.Context,
	request *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	observations := make([]Observation, len(request.GetObservations()))
	for i, o := range request.GetObservations() {
		seconds := o.GetTimestamp().GetSeconds()
		if o.GetTimestamp() == nil || seconds < 0 || seconds > math.MaxUint32 {
			return nil, status.Errorf(codes.InvalidArgument,
				"observations[%d].timestamp: the report holds seconds in 32 bits, got %d", i, seconds)
		}
		if o.GetObserver() > math.MaxUint8 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].observer: the report holds 8 bits, got %d", i,
				o.GetObserver())
		}
		observations[i] = Observation{
			Seconds: uint32(seconds), Value: wire.Int(o.GetValue()), JuelsPerFeeCoin: wire.Int(o.GetJuelsPerFeeCoin()),
			GasPriceSubunits: wire.Int(o.GetGasPriceSubunits()), Observer: uint8(o.GetObserver()),
		}
	}
	report, err := s.Codec.BuildReport(ctx, observations)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

// MedianFromReport implements medianv1.ReportCodecServiceServer.
func (s CodecServer) MedianFromReport(ctx context.Context,
	request *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	answer, err := s.Codec.Median(ctx, request.GetReport())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(answer)}, nil
}

// MaxReportLength implements medianv1.ReportCodecServiceServer.
func (s CodecServer) MaxReportLength(ctx context.Context,
	request *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	length, err := s.Codec.MaxReportLength(ctx, request.GetN())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &medianv1.MaxReportLengthResponse{MaxReportLength: length}, nil
}

// EncodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (s CodecServer) EncodeOnchainConfig(ctx context.Context,
	request *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	encoded, err := s.Codec.EncodeOnchainConfig(ctx, wire.Int(request.GetConfig().GetMin()),
		wire.Int(request.GetConfig().GetMax()))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &medianv1.EncodeOnchainConfigResponse{Encoded: encoded}, nil
}

// DecodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (s CodecServer) DecodeOnchainConfig(ctx context.Context,
	request *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	lowest, highest, err := s.Codec.DecodeOnchainConfig(ctx, request.GetEncoded())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "encoded: %v", err)
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(lowest),
		Max: wire.BigInt(highest)}}, nil
}
