package median

import (
	"context"
	"fmt"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/codes"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
)

// instance is libocr's median under one on-chain configuration. It implements reportingv1.ReportingPluginServiceServer.
//
// libocr calls one method at a time, but callers of an RPC service need not. Only ShouldAcceptFinalizedReport changes
// libocr's instance, and nothing else reads what it changes: so its calls take turns, and the others wait for nobody.
type instance struct {
	libocr  types.ReportingPlugin
	metrics *metrics
	// turn holds one token while nobody decides on acceptance. It is a channel, because waiting for a lock cannot heed a
	// deadline.
	turn chan struct{}
}

func newInstance(p types.ReportingPlugin, m *metrics) *instance {
	i := &instance{libocr: p, metrics: m, turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	m.instances.Inc()
	return i
}

// Query implements reportingv1.ReportingPluginServiceServer. A median's query is empty.
func (i *instance) Query(ctx context.Context, request *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	timestamp, err := ocr2.TimestampOf(request.GetTimestamp())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	query, err := i.libocr.Query(ctx, timestamp)
	if err != nil {
		return nil, failure(ctx, err, codes.FailedPrecondition)
	}
	return &reportingv1.QueryResponse{Query: query}, nil
}

// Observation implements reportingv1.ReportingPluginServiceServer. It asks the three lent sources concurrently. If one
// fails, it fails with that one's code.
func (i *instance) Observation(ctx context.Context,
	request *reportingv1.ObservationRequest) (answer *reportingv1.ObservationResponse, err error) {
	defer func() { i.metrics.observed(answer != nil, err) }()
	timestamp, err := ocr2.TimestampOf(request.GetTimestamp())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	observation, err := i.libocr.Observation(ctx, timestamp, request.GetQuery())
	if err != nil {
		return nil, failure(ctx, err, codes.FailedPrecondition)
	}
	return &reportingv1.ObservationResponse{Observation: observation}, nil
}

// Report implements reportingv1.ReportingPluginServiceServer. It leaves out observations that do not decode, and
// returns FAILED_PRECONDITION if f or fewer are left.
func (i *instance) Report(ctx context.Context,
	request *reportingv1.ReportRequest) (answer *reportingv1.ReportResponse, err error) {
	defer func() { i.metrics.decided(decisionReport, answer != nil, answer.GetShouldReport()) }()
	timestamp, err := ocr2.TimestampOf(request.GetTimestamp())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	observations, err := ocr2.ObservationsOf(request.GetObservations())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	should, report, err := i.libocr.Report(ctx, timestamp, request.GetQuery(), observations)
	if err != nil {
		return nil, failure(ctx, err, codes.FailedPrecondition)
	}
	return &reportingv1.ReportResponse{ShouldReport: should, Report: report}, nil
}

// ShouldAcceptFinalizedReport implements reportingv1.ReportingPluginServiceServer. It remembers what it accepted.
func (i *instance) ShouldAcceptFinalizedReport(ctx context.Context,
	request *reportingv1.ShouldAcceptFinalizedReportRequest) (
	answer *reportingv1.ShouldAcceptFinalizedReportResponse, err error) {
	defer func() { i.metrics.decided(decisionAccept, answer != nil, answer.GetShouldAccept()) }()
	timestamp, err := ocr2.TimestampOf(request.GetTimestamp())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, failure(ctx, fmt.Errorf("waiting for another report's acceptance: %w", ctx.Err()), codes.Internal)
	}
	should, err := i.libocr.ShouldAcceptFinalizedReport(ctx, timestamp, request.GetReport())
	if err != nil {
		return nil, failure(ctx, err, codes.FailedPrecondition)
	}
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: should}, nil
}

// ShouldTransmitAcceptedReport implements reportingv1.ReportingPluginServiceServer.
func (i *instance) ShouldTransmitAcceptedReport(ctx context.Context,
	request *reportingv1.ShouldTransmitAcceptedReportRequest) (
	answer *reportingv1.ShouldTransmitAcceptedReportResponse, err error) {
	defer func() { i.metrics.decided(decisionTransmit, answer != nil, answer.GetShouldTransmit()) }()
	timestamp, err := ocr2.TimestampOf(request.GetTimestamp())
	if err != nil {
		return nil, failure(ctx, err, codes.InvalidArgument)
	}
	should, err := i.libocr.ShouldTransmitAcceptedReport(ctx, timestamp, request.GetReport())
	if err != nil {
		return nil, failure(ctx, err, codes.FailedPrecondition)
	}
	return &reportingv1.ShouldTransmitAcceptedReportResponse{ShouldTransmit: should}, nil
}

// Close implements io.Closer.
func (i *instance) Close() error {
	i.metrics.instances.Dec()
	return i.libocr.Close()
}
