package median

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"time"

	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// source is a lent source of the job. It implements libocr's DataSource.
type source struct {
	name   string
	client hostservicev1.DataSourceServiceClient
}

// Observe implements libocr.DataSource.
func (s source) Observe(ctx context.Context, t types.ReportTimestamp) (*big.Int, error) {
	answer, err := ask(s.name, func() (*hostservicev1.ObserveResponse, error) {
		return s.client.Observe(ctx, &hostservicev1.ObserveRequest{Timestamp: ocr2.TimestampTo(t)})
	})
	if err != nil {
		return nil, err
	}
	return wire.Int(answer.GetValue()), nil
}

// contract is the provider's view of its contract. It implements libocr's MedianContract.
type contract struct {
	client medianv1.MedianContractServiceClient
}

// LatestTransmissionDetails implements libocr.MedianContract.
func (c contract) LatestTransmissionDetails(ctx context.Context) (
	digest types.ConfigDigest, epoch uint32, round uint8, latest *big.Int, at time.Time, err error) {
	answer, err := ask("the contract's latest transmission", func() (*medianv1.LatestTransmissionDetailsResponse, error) {
		return c.client.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	})
	if err != nil {
		return digest, 0, 0, nil, at, err
	}
	t, err := ocr2.TimestampOf(answer.GetTimestamp())
	if err != nil {
		return digest, 0, 0, nil, at, broken("LatestTransmissionDetails", err)
	}
	return t.ConfigDigest, t.Epoch, t.Round, wire.Int(answer.GetLatestAnswer()), answer.GetLatestTimestamp().AsTime(), nil
}

// LatestRoundRequested implements libocr.MedianContract.
func (c contract) LatestRoundRequested(ctx context.Context,
	lookback time.Duration) (digest types.ConfigDigest, epoch uint32, round uint8, err error) {
	answer, err := ask("the contract's latest requested round", func() (*medianv1.LatestRoundRequestedResponse, error) {
		return c.client.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(lookback)})
	})
	if err != nil {
		return digest, 0, 0, err
	}
	t, err := ocr2.TimestampOf(answer.GetTimestamp())
	if err != nil {
		return digest, 0, 0, broken("LatestRoundRequested", err)
	}
	return t.ConfigDigest, t.Epoch, t.Round, nil
}

// reportCodec is the provider's codec of reports. It implements libocr's ReportCodec.
type reportCodec struct {
	client medianv1.ReportCodecServiceClient
}

// BuildReport implements libocr.ReportCodec.
func (c reportCodec) BuildReport(ctx context.Context,
	observations []libocr.ParsedAttributedObservation) (types.Report, error) {
	request := &medianv1.BuildReportRequest{Observations: make([]*medianv1.ParsedAttributedObservation, len(observations))}
	for i, o := range observations {
		request.Observations[i] = &medianv1.ParsedAttributedObservation{
			Timestamp:        &timestamppb.Timestamp{Seconds: int64(o.Timestamp)},
			Value:            wire.BigInt(o.Value),
			JuelsPerFeeCoin:  wire.BigInt(o.JuelsPerFeeCoin),
			GasPriceSubunits: wire.BigInt(o.GasPriceSubunits),
			Observer:         uint32(o.Observer),
		}
	}
	answer, err := ask("building a report", func() (*medianv1.BuildReportResponse, error) {
		return c.client.BuildReport(ctx, request)
	})
	if err != nil {
		return nil, err
	}
	return answer.GetReport(), nil
}

// MedianFromReport implements libocr.ReportCodec.
func (c reportCodec) MedianFromReport(ctx context.Context, report types.Report) (*big.Int, error) {
	answer, err := ask("reading the median of a report", func() (*medianv1.MedianFromReportResponse, error) {
		return c.client.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{Report: report})
	})
	if err != nil {
		return nil, err
	}
	return wire.Int(answer.GetMedian()), nil
}

// MaxReportLength implements libocr.ReportCodec.
func (c reportCodec) MaxReportLength(ctx context.Context, n int) (int, error) {
	if n < 0 || n > math.MaxUint8 {
		return 0, fmt.Errorf("OCR2 has no network of %d oracles", n)
	}
	answer, err := ask("the length of a report", func() (*medianv1.MaxReportLengthResponse, error) {
		return c.client.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: uint32(n)})
	})
	if err != nil {
		return 0, err
	}
	return int(answer.GetMaxReportLength()), nil
}

// onchainConfigCodec is the provider's codec of on-chain configurations. It implements libocr's OnchainConfigCodec.
type onchainConfigCodec struct {
	client medianv1.OnchainConfigCodecServiceClient
}

// Encode implements libocr.OnchainConfigCodec.
func (c onchainConfigCodec) Encode(ctx context.Context, config libocr.OnchainConfig) ([]byte, error) {
	answer, err := ask("encoding an on-chain configuration", func() (*medianv1.EncodeOnchainConfigResponse, error) {
		return c.client.EncodeOnchainConfig(ctx, &medianv1.EncodeOnchainConfigRequest{
			Config: &medianv1.OnchainConfig{Min: wire.BigInt(config.Min), Max: wire.BigInt(config.Max)},
		})
	})
	if err != nil {
		return nil, err
	}
	return answer.GetEncoded(), nil
}

// Decode implements libocr.OnchainConfigCodec.
func (c onchainConfigCodec) Decode(ctx context.Context, encoded []byte) (libocr.OnchainConfig, error) {
	answer, err := ask("decoding the on-chain configuration", func() (*medianv1.DecodeOnchainConfigResponse, error) {
		return c.client.DecodeOnchainConfig(ctx, &medianv1.DecodeOnchainConfigRequest{Encoded: encoded})
	})
	if err != nil {
		return libocr.OnchainConfig{}, err
	}
	return libocr.OnchainConfig{Min: wire.Int(answer.GetConfig().GetMin()),
		Max: wire.Int(answer.GetConfig().GetMax())}, nil
}

// ask makes a lent call. libocr makes several at once on goroutines of its own, where nobody would recover a panic, and
// a panic there would end the process.
func ask[T any](what string, call func() (T, error)) (answer T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Internal, "%s: the call panicked: %v", what, p)
		}
	}()
	if answer, err = call(); err != nil {
		return answer, &lentError{what, status.Convert(err)}
	}
	return answer, nil
}

// lentError is a lent object's error as people read it: libocr puts texts around it and joins several, and the usual
// form "rpc error: code = … desc = …" would stand in the midst of their sentence.
type lentError struct {
	what   string
	status *status.Status
}

// Error implements error.
func (e *lentError) Error() string { return e.what + ": " + e.status.Message() }

// GRPCStatus keeps the lent object's code.
func (e *lentError) GRPCStatus() *status.Status { return status.New(e.status.Code(), e.Error()) }

func broken(method string, err error) error {
	return status.Errorf(codes.Internal, "the answer to %s breaks the contract: %v", method, err)
}

// failure makes err a gRPC status: what ended the call's context comes first, then the code of a lent object, and for
// libocr's own errors, which have none, otherwise.
func failure(ctx context.Context, err error, otherwise codes.Code) error {
	if ended := ctx.Err(); ended != nil {
		return status.Error(status.FromContextError(ended).Code(), err.Error())
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	if s := status.FromContextError(err); s.Code() != codes.Unknown {
		return s.Err()
	}
	return status.Error(otherwise, err.Error())
}
