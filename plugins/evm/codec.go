package evm

import (
	"context"
	"errors"
	"math"
	"math/big"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/plugins/evm/aggregator"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// valueBits is the width of the integers in a report and in an on-chain configuration: Solidity's int192.
const valueBits = 192

// codec serves the pure services of a median provider. What it decodes is untrusted.
type codec struct {
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
}

// fits tells whether an integer can be an int192. libocr's encoders take it for granted.
func fits(i *big.Int) bool {
	if i == nil {
		return false
	}
	if i.Sign() < 0 {
		return new(big.Int).Not(i).BitLen() < valueBits
	}
	return i.BitLen() < valueBits
}

// BuildReport implements medianv1.ReportCodecServiceServer.
func (codec) BuildReport(ctx context.Context, request *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	// The contract names the observers of a report in 32 bytes and has at most 31 oracles.
	if n := len(request.GetObservations()); n == 0 || n > aggregator.MaxSignatures {
		return nil, status.Errorf(codes.InvalidArgument, "observations: a report holds 1 to %d, got %d", aggregator.MaxSignatures, n)
	}
	observations := make([]median.ParsedAttributedObservation, len(request.GetObservations()))
	for i, o := range request.GetObservations() {
		seconds := o.GetTimestamp().GetSeconds()
		if o.GetTimestamp() == nil || seconds < 0 || seconds > math.MaxUint32 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].timestamp: the report holds seconds in 32 bits, got %d", i, seconds)
		}
		if o.GetObserver() > math.MaxUint8 {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].observer: the report holds 8 bits, got %d", i, o.GetObserver())
		}
		value, juels, gas := wire.Int(o.GetValue()), wire.Int(o.GetJuelsPerFeeCoin()), wire.Int(o.GetGasPriceSubunits())
		if !fits(value) {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].value: the report holds signed integers of 192 bits", i)
		}
		if !fits(juels) {
			return nil, status.Errorf(codes.InvalidArgument, "observations[%d].juels_per_fee_coin: the report holds signed integers of 192 bits", i)
		}
		observations[i] = median.ParsedAttributedObservation{
			Timestamp: uint32(seconds), Value: value, JuelsPerFeeCoin: juels, GasPriceSubunits: gas, Observer: commontypes.OracleID(o.GetObserver()),
		}
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(ctx, observations)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "build a report of %d observations: %v", len(observations), err)
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

// MedianFromReport implements medianv1.ReportCodecServiceServer.
func (codec) MedianFromReport(ctx context.Context, request *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	answer, err := medianOf(ctx, request.GetReport())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "report: %v", err)
	}
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(answer)}, nil
}

// medianOf reads the answer out of an untrusted report. go-ethereum's decoder takes integers that are wider than their type,
// which the contract refuses.
func medianOf(ctx context.Context, report []byte) (*big.Int, error) {
	answer, err := evmreportcodec.ReportCodec{}.MedianFromReport(ctx, report)
	if err == nil && !fits(answer) {
		return nil, errors.New("its median is wider than the 192 bits of the contract's integers")
	}
	return answer, err
}

// MaxReportLength implements medianv1.ReportCodecServiceServer.
func (codec) MaxReportLength(ctx context.Context, request *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	n, err := evmreportcodec.ReportCodec{}.MaxReportLength(ctx, int(request.GetN()))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "n: %v", err)
	}
	return &medianv1.MaxReportLengthResponse{MaxReportLength: uint32(n)}, nil
}

// EncodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) EncodeOnchainConfig(ctx context.Context, request *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	least, most := wire.Int(request.GetConfig().GetMin()), wire.Int(request.GetConfig().GetMax())
	switch {
	case !fits(least):
		return nil, status.Error(codes.InvalidArgument, "config.min: the contract holds signed integers of 192 bits")
	case !fits(most):
		return nil, status.Error(codes.InvalidArgument, "config.max: the contract holds signed integers of 192 bits")
	case least.Cmp(most) > 0:
		return nil, status.Error(codes.InvalidArgument, "config.min: it must not be above config.max")
	}
	encoded, err := median.StandardOnchainConfigCodec{}.Encode(ctx, median.OnchainConfig{Min: least, Max: most})
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config: %v", err)
	}
	return &medianv1.EncodeOnchainConfigResponse{Encoded: encoded}, nil
}

// DecodeOnchainConfig implements medianv1.OnchainConfigCodecServiceServer.
func (codec) DecodeOnchainConfig(ctx context.Context, request *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	config, err := median.StandardOnchainConfigCodec{}.Decode(ctx, request.GetEncoded())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "encoded: %v", err)
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(config.Min), Max: wire.BigInt(config.Max)}}, nil
}
