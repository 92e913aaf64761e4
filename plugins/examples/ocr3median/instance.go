package ocr3median

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// instance is the median under one on-chain configuration. It implements reportingv1.Ocr3PluginServiceServer. It keeps
// nothing from call to call: what must be remembered stands in the outcome.
type instance struct {
	reportingv1.UnimplementedOcr3PluginServiceServer // ObservationQuorum: the quorum is a number
	logger                                           *slog.Logger
	loans                                            productv1loop.CreateProductFactoryLoans
	config                                           Config
	digest                                           []byte
	f                                                int
}

// Query implements reportingv1.Ocr3PluginServiceServer. All oracles observe the same, so the leader has nothing to say.
func (i *instance) Query(
	context.Context,
	*reportingv1.Ocr3PluginServiceQueryRequest,
) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
	return &reportingv1.Ocr3PluginServiceQueryResponse{}, nil
}

// Observation implements reportingv1.Ocr3PluginServiceServer. An oracle without a value says so, and still votes.
func (i *instance) Observation(
	ctx context.Context,
	request *reportingv1.Ocr3PluginServiceObservationRequest,
) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
	now, seqNr := time.Now().Unix(), request.GetContext().GetSeqNr()
	value, err := i.observe(ctx, fmt.Sprintf("%x/%d/%d", i.digest, seqNr, now))
	switch status.Code(err) {
	case codes.Unavailable: // the node restarts what was asked, and asks again
		return nil, err
	case codes.DeadlineExceeded, codes.Canceled: // this call is over too, or will be at once: nobody waits for an answer
		return nil, err
	}
	if err != nil {
		i.logger.WarnContext(ctx, "this oracle has no value to observe", "seqNr", seqNr, "error", err)
		_, _ = i.loans.ErrorLog.RecordError(
			ctx,
			&hostservicev1.RecordErrorRequest{
				Message: fmt.Sprintf("%.1000s", "the median observes nothing: "+status.Convert(err).Message()),
			},
		)
		return &reportingv1.Ocr3PluginServiceObservationResponse{}, nil
	}
	return &reportingv1.Ocr3PluginServiceObservationResponse{
		Observation: observation{at: seconds(now), value: value}.encode(),
	}, nil
}

// observe runs the job's observationSource.
func (i *instance) observe(ctx context.Context, run string) (*big.Int, error) {
	answer, err := i.loans.Pipelines.Run(ctx, &hostservicev1.RunRequest{RunId: run})
	if err != nil {
		return nil, failed("the observationSource", err)
	}
	for _, result := range answer.GetResults() {
		switch {
		case !result.GetTerminal():
		case result.GetError() != "":
			return nil, fmt.Errorf("the task %s of the observationSource: %s", result.GetTask(), result.GetError())
		default:
			return integer(result.GetValueJson())
		}
	}
	return nil, errors.New("the observationSource has no last task")
}

// integer reads a decimal, a JSON number or a text of one, and drops what is behind the point.
func integer(encoded []byte) (*big.Int, error) {
	text := string(bytes.TrimSpace(encoded))
	if len(text) > 0 && text[0] == '"' {
		if err := json.Unmarshal(encoded, &text); err != nil {
			return nil, fmt.Errorf("the observationSource came to a text that is not JSON: %w", err)
		}
	}
	// big.Rat would make 1e1000000000 of that text, digit by digit.
	number, ok := new(big.Float).SetPrec(2048).SetString(text)
	if !ok || number.IsInf() || number.MantExp(nil) > 8*valueLength {
		return nil, fmt.Errorf("the observationSource came to %.100q, which is not a decimal of at most 24 bytes", text)
	}
	value, _ := number.Int(nil)
	if !fits(value) {
		return nil, fmt.Errorf("the observationSource came to %.100q, which is not a decimal of at most 24 bytes", text)
	}
	return value, nil
}

// ValidateObservation implements reportingv1.Ocr3PluginServiceServer.
func (i *instance) ValidateObservation(
	_ context.Context,
	request *reportingv1.Ocr3PluginServiceValidateObservationRequest,
) (*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
	response := &reportingv1.Ocr3PluginServiceValidateObservationResponse{}
	if _, err := decodeObservation(request.GetObservation().GetObservation()); err != nil {
		response.Problem = err.Error()
	}
	return response, nil
}

// Outcome implements reportingv1.Ocr3PluginServiceServer.
func (i *instance) Outcome(
	_ context.Context,
	request *reportingv1.Ocr3PluginServiceOutcomeRequest,
) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
	previous, err := decodeOutcome(request.GetContext().GetPreviousOutcome())
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &reportingv1.Ocr3PluginServiceOutcomeResponse{
		Outcome: decide(i.config, i.f, previous, request.GetObservations()).encode(),
	}, nil
}

// Reports implements reportingv1.Ocr3PluginServiceServer. The lent codec is as pure as this method must be.
func (i *instance) Reports(
	ctx context.Context,
	request *reportingv1.Ocr3PluginServiceReportsRequest,
) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
	o, err := decodeOutcome(request.GetOutcome())
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	if o.entries == nil {
		return &reportingv1.Ocr3PluginServiceReportsResponse{}, nil
	}
	build := &medianv1.BuildReportRequest{}
	for _, e := range o.entries {
		build.Observations = append(build.Observations, &medianv1.ParsedAttributedObservation{
			Timestamp: &timestamppb.Timestamp{Seconds: int64(o.at)}, Value: wire.BigInt(e.value), Observer: e.observer,
			JuelsPerFeeCoin: &pluginv1.BigInt{}, GasPriceSubunits: &pluginv1.BigInt{},
		})
	}
	built, err := i.loans.Provider.BuildReport(ctx, build)
	if err != nil {
		return nil, failed("building a report", err)
	}
	report := &reportingv1.ReportPlus{Report: &reportingv1.ReportWithInfo{Report: built.GetReport()}}
	return &reportingv1.Ocr3PluginServiceReportsResponse{Reports: []*reportingv1.ReportPlus{report}}, nil
}

// ShouldAcceptAttestedReport implements reportingv1.Ocr3PluginServiceServer.
func (i *instance) ShouldAcceptAttestedReport(
	ctx context.Context,
	request *reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest,
) (*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
	fresh, err := i.fresh(ctx, request.GetSeqNr())
	return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{ShouldAccept: fresh}, err
}

// ShouldTransmitAcceptedReport implements reportingv1.Ocr3PluginServiceServer.
func (i *instance) ShouldTransmitAcceptedReport(
	ctx context.Context,
	request *reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest,
) (*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
	fresh, err := i.fresh(ctx, request.GetSeqNr())
	return &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse{ShouldTransmit: fresh}, err
}

// fresh reports whether an outcome is newer than all that the contract has. Contracts of OCR2 hold its number as their
// epoch.
func (i *instance) fresh(ctx context.Context, seqNr uint64) (bool, error) {
	latest, err := i.loans.Provider.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return false, failed("asking for the contract's latest report", err)
	}
	at := latest.GetTimestamp()
	return !bytes.Equal(at.GetConfigDigest(), i.digest) || uint64(at.GetEpoch()) < seqNr, nil
}
