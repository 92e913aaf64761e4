package product

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"math/big"
	"slices"
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

// instance is the product under one on-chain configuration. It implements reportingv1loop.ReportingPlugin. Begin here:
// Observation says what an oracle sees, Report what a quorum of them comes to.
type instance struct {
	logger *slog.Logger
	loans  productv1loop.CreateProductFactoryLoans
	digest []byte
	f      int
	bounds *medianv1.OnchainConfig // the least and the largest answer that the contract takes; nil: any
}

// Query implements reportingv1.ReportingPluginServiceServer. All oracles observe the same, so the leader has nothing to
// say.
func (i *instance) Query(context.Context, *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	return &reportingv1.QueryResponse{}, nil
}

// Observation implements reportingv1.ReportingPluginServiceServer. An error costs this oracle the round.
func (i *instance) Observation(
	ctx context.Context, request *reportingv1.ObservationRequest,
) (*reportingv1.ObservationResponse, error) {
	now := time.Now().Unix()
	value, err := i.observe(ctx, runID(request.GetTimestamp(), now))
	if err != nil {
		return nil, err
	}
	return &reportingv1.ObservationResponse{Observation: observation{now, value}.encode()}, nil
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
			return nil, status.Errorf(codes.FailedPrecondition, "the task %s of the observationSource: %s",
				result.GetTask(), result.GetError())
		default:
			return integer(result.GetValueJson())
		}
	}
	return nil, status.Error(codes.FailedPrecondition, "the observationSource has no last task")
}

// Report implements reportingv1.ReportingPluginServiceServer. It is pure: from the same observations all oracles
// compute the same bytes. It leaves out observations that do not decode, since any oracle may have sent them.
func (i *instance) Report(
	ctx context.Context, request *reportingv1.ReportRequest,
) (*reportingv1.ReportResponse, error) {
	build := &medianv1.BuildReportRequest{}
	for _, sent := range request.GetObservations() {
		o, err := decode(sent.GetObservation())
		if err != nil {
			i.logger.WarnContext(ctx, "an observation is left out", "observer", sent.GetObserver(), "error", err)
			continue
		}
		build.Observations = append(build.Observations, &medianv1.ParsedAttributedObservation{
			Timestamp: &timestamppb.Timestamp{Seconds: o.at}, Value: wire.BigInt(o.value), Observer: sent.GetObserver(),
			JuelsPerFeeCoin: &pluginv1.BigInt{}, GasPriceSubunits: &pluginv1.BigInt{},
		})
	}
	slices.SortFunc(build.Observations, func(a, b *medianv1.ParsedAttributedObservation) int {
		return cmp.Or(wire.Int(a.GetValue()).Cmp(wire.Int(b.GetValue())), cmp.Compare(a.GetObserver(), b.GetObserver()))
	})
	// The median of 2f+1 values lies among those of honest oracles.
	if n := len(build.Observations); n <= 2*i.f || !i.holds(wire.Int(build.Observations[n/2].GetValue())) {
		return &reportingv1.ReportResponse{}, nil
	}
	built, err := i.loans.Provider.BuildReport(ctx, build)
	if err != nil {
		return nil, failed("building a report", err)
	}
	return &reportingv1.ReportResponse{ShouldReport: true, Report: built.GetReport()}, nil
}

// holds reports whether the contract accepts an answer.
func (i *instance) holds(answer *big.Int) bool {
	return i.bounds == nil ||
		wire.Int(i.bounds.GetMin()).Cmp(answer) <= 0 && answer.Cmp(wire.Int(i.bounds.GetMax())) <= 0
}

// ShouldAcceptFinalizedReport implements reportingv1.ReportingPluginServiceServer. The node keeps the answer.
func (i *instance) ShouldAcceptFinalizedReport(
	ctx context.Context, request *reportingv1.ShouldAcceptFinalizedReportRequest,
) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	fresh, err := i.fresh(ctx, request.GetTimestamp())
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: fresh}, err
}

// ShouldTransmitAcceptedReport implements reportingv1.ReportingPluginServiceServer.
func (i *instance) ShouldTransmitAcceptedReport(
	ctx context.Context, request *reportingv1.ShouldTransmitAcceptedReportRequest,
) (*reportingv1.ShouldTransmitAcceptedReportResponse, error) {
	fresh, err := i.fresh(ctx, request.GetTimestamp())
	return &reportingv1.ShouldTransmitAcceptedReportResponse{ShouldTransmit: fresh}, err
}

// fresh reports whether a round is newer than all that the contract has.
func (i *instance) fresh(ctx context.Context, at *reportingv1.ReportTimestamp) (bool, error) {
	response, err := i.loans.Provider.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	if err != nil {
		return false, failed("asking for the contract's latest report", err)
	}
	latest := response.GetTimestamp()
	if !bytes.Equal(latest.GetConfigDigest(), i.digest) {
		return true, nil
	}
	return cmp.Or(cmp.Compare(latest.GetEpoch(), at.GetEpoch()), cmp.Compare(latest.GetRound(), at.GetRound())) < 0, nil
}
