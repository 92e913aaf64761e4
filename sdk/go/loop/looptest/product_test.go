package looptest_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
)

// fakeProduct is the smallest product over OCR3: an outcome is the largest observation, and there is a report of it. It
// keeps all that the suite asks but for what is broken.
type fakeProduct struct {
	what      string
	described atomic.Uint32
}

func (p *fakeProduct) DescribeProduct(context.Context,
	*productv1.DescribeProductRequest) (*productv1.DescribeProductResponse, error) {
	d := &productv1.DescribeProductResponse{Product: "fake",
		OcrVersions: []productv1.OcrVersion{productv1.OcrVersion_OCR_VERSION_3}, ProviderTypes: []string{"median"}}
	switch p.what {
	case "describes-anew":
		d.Product = fmt.Sprint("fake ", p.described.Add(1))
	case "undescribed":
		return nil, status.Error(codes.Unimplemented, "this is not written yet")
	case "no-bounds":
		d.OcrVersions = append(d.OcrVersions, productv1.OcrVersion_OCR_VERSION_2)
	}
	return d, nil
}

func (p *fakeProduct) ValidateProductJob(_ context.Context,
	r *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error) {
	if r.GetProviderType() == "median" || p.what == "any-job" {
		return &productv1.ValidateProductJobResponse{}, nil
	}
	return &productv1.ValidateProductJobResponse{
		Problems: []*pluginv1.Problem{{Path: "pluginConfig.providerType", Message: "is not median"}}}, nil
}

func (p *fakeProduct) CreateProductFactory(_ context.Context, r *productv1.CreateProductFactoryRequest,
	loans productv1loop.CreateProductFactoryLoans) (
	productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	if r.GetProviderType() != "median" && p.what != "no-check" {
		return nil, nil, status.Error(codes.InvalidArgument, "the type of provider is not median")
	}
	return &fakeProductFactory{what: p.what, pipelines: loans.Pipelines}, &productv1.CreateProductFactoryResponse{}, nil
}

type fakeProductFactory struct {
	reportingv1loop.UnimplementedReportingPluginFactoryService
	what      string
	pipelines hostservicev1.PipelineServiceClient
}

func (f *fakeProductFactory) CreateReportingPlugin(ctx context.Context,
	r *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	if f.what != "both-versions" {
		return f.UnimplementedReportingPluginFactoryService.CreateReportingPlugin(ctx, r)
	}
	return reportingv1.UnimplementedReportingPluginServiceServer{}, &reportingv1.CreateReportingPluginResponse{
		Product: "fake", Limits: &reportingv1.ReportingPluginLimits{}}, nil
}

func (f *fakeProductFactory) CreateOcr3Plugin(context.Context,
	*reportingv1.CreateOcr3PluginRequest) (reportingv1loop.Ocr3Plugin, *reportingv1.CreateOcr3PluginResponse, error) {
	limits := &reportingv1.Ocr3PluginLimits{MaxObservationLength: 100, MaxOutcomeLength: 100, MaxReportLength: 100,
		MaxReportCount: 1}
	if f.what == "too-much" {
		limits.MaxObservationLength = 1 << 20
	}
	return &fakeOCR3{what: f.what, pipelines: f.pipelines}, &reportingv1.CreateOcr3PluginResponse{
		Product: "fake", Limits: limits, ObservationQuorum: reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE,
	}, nil
}

type fakeOCR3 struct {
	reportingv1.UnimplementedOcr3PluginServiceServer
	what      string
	pipelines hostservicev1.PipelineServiceClient
	outcomes  atomic.Uint32
}

func (*fakeOCR3) Query(context.Context,
	*reportingv1.Ocr3PluginServiceQueryRequest) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
	return &reportingv1.Ocr3PluginServiceQueryResponse{}, nil
}

func (i *fakeOCR3) Observation(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceObservationRequest) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
	answer, err := i.pipelines.Run(ctx, &hostservicev1.RunRequest{RunId: fmt.Sprint(r.GetContext().GetSeqNr())})
	if err != nil {
		return nil, err
	}
	result := answer.GetResults()[0]
	if result.GetError() != "" && i.what == "fails-to-see" {
		return nil, status.Error(codes.FailedPrecondition, result.GetError())
	}
	return &reportingv1.Ocr3PluginServiceObservationResponse{Observation: result.GetValueJson()}, nil
}

func (i *fakeOCR3) ValidateObservation(_ context.Context,
	r *reportingv1.Ocr3PluginServiceValidateObservationRequest) (
	*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
	response := &reportingv1.Ocr3PluginServiceValidateObservationResponse{}
	if o := r.GetObservation().GetObservation(); len(o) > 100 {
		response.Problem = "it is too long"
	} else if len(o) > 0 && o[0] == '{' && i.what == "chokes" {
		return nil, status.Error(codes.Internal, "unexpected end of JSON")
	}
	return response, nil
}

func (i *fakeOCR3) Outcome(_ context.Context,
	r *reportingv1.Ocr3PluginServiceOutcomeRequest) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
	var all [][]byte
	for _, o := range r.GetObservations() {
		all = append(all, o.GetObservation())
	}
	outcome := slices.MaxFunc(all, slices.Compare)
	switch i.what {
	case "impure":
		outcome = fmt.Append(nil, os.Getpid())
	case "remembers":
		outcome = fmt.Append(nil, i.outcomes.Add(1))
	}
	return &reportingv1.Ocr3PluginServiceOutcomeResponse{Outcome: outcome}, nil
}

func (*fakeOCR3) Reports(_ context.Context,
	r *reportingv1.Ocr3PluginServiceReportsRequest) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
	return &reportingv1.Ocr3PluginServiceReportsResponse{
		Reports: []*reportingv1.ReportPlus{{Report: &reportingv1.ReportWithInfo{Report: r.GetOutcome()}}}}, nil
}

func (*fakeOCR3) ShouldAcceptAttestedReport(context.Context,
	*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
	return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{ShouldAccept: true}, nil
}

func (*fakeOCR3) ShouldTransmitAcceptedReport(context.Context,
	*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
	return &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}
