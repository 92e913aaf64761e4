package oracle

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeProduct is a median of a job's observationSource under either version. Under OCR3 an outcome is its number,
// counted by the product itself from outcome to outcome, and the median.
type fakeProduct struct {
	productv1loop.UnimplementedProductService

	mu    sync.Mutex
	mode  string
	asked *productv1.CreateProductFactoryRequest
}

func (p *fakeProduct) become(mode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
}

func (p *fakeProduct) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// call ends the process under the third round's call of a method if the mode is "die:METHOD:PATH", once for each PATH.
func (p *fakeProduct) call(method string, seqNr uint64) {
	if path, dies := strings.CutPrefix(p.now(), "die:"+method+":"); dies && seqNr >= 3 && once(path) {
		die()
	}
}

func (p *fakeProduct) CreateProductFactory(
	_ context.Context, r *productv1.CreateProductFactoryRequest, loans productv1loop.CreateProductFactoryLoans,
) (productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	if p.now() == "refuse-factory" {
		return nil, nil, status.Error(codes.InvalidArgument, "pluginConfig.window: the fake knows no such window")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = r
	return &fakeProductFactory{p, loans}, &productv1.CreateProductFactoryResponse{}, nil
}

type fakeProductFactory struct {
	product *fakeProduct
	loans   productv1loop.CreateProductFactoryLoans
}

func (f *fakeProductFactory) CreateReportingPlugin(
	ctx context.Context, r *reportingv1.CreateReportingPluginRequest,
) (reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	longest, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: r.GetN()})
	if err != nil {
		return nil, nil, err
	}
	return &fakeProductInstance{f, int(r.GetF())}, &reportingv1.CreateReportingPluginResponse{
		Product: "fake",
		Limits:  &reportingv1.ReportingPluginLimits{MaxObservationLength: 100, MaxReportLength: longest.GetMaxReportLength()},
	}, nil
}

func (f *fakeProductFactory) CreateOcr3Plugin(
	ctx context.Context, r *reportingv1.CreateOcr3PluginRequest,
) (reportingv1loop.Ocr3Plugin, *reportingv1.CreateOcr3PluginResponse, error) {
	if f.product.now() == "refuse-config" {
		return nil, nil, status.Error(codes.InvalidArgument, "the fake cannot run this configuration")
	}
	longest, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: r.GetN()})
	if err != nil {
		return nil, nil, err
	}
	return &fakeOcr3Instance{&fakeProductInstance{f, int(r.GetF())}}, &reportingv1.CreateOcr3PluginResponse{
		Product: "fake", ObservationQuorum: reportingv1.ObservationQuorum_OBSERVATION_QUORUM_TWO_F_PLUS_ONE,
		Limits: &reportingv1.Ocr3PluginLimits{
			MaxObservationLength: 100, MaxOutcomeLength: 100, MaxReportLength: longest.GetMaxReportLength(), MaxReportCount: 1,
		},
	}, nil
}

// fakeProductInstance is one under OCR2.
type fakeProductInstance struct {
	factory *fakeProductFactory
	f       int
}

// observe runs the pipeline for a round.
func (i *fakeProductInstance) observe(ctx context.Context, run string) ([]byte, error) {
	answer, err := i.factory.loans.Pipelines.Run(ctx, &hostservicev1.RunRequest{RunId: run})
	if err != nil {
		return nil, err
	}
	for _, r := range answer.GetResults() {
		if r.GetTerminal() && r.GetError() == "" {
			text, err := strconv.Unquote(string(r.GetValueJson()))
			return []byte(text), err
		}
	}
	return nil, status.Error(codes.FailedPrecondition, "the fake observed nothing")
}

func middle(observations []*reportingv1.AttributedObservation) int64 {
	var values []int64
	for _, o := range observations {
		value, err := strconv.ParseInt(string(o.GetObservation()), 10, 64)
		if err == nil {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// report is one of a value, by the lent codec.
func (i *fakeProductInstance) report(ctx context.Context, value int64) ([]byte, error) {
	build := &medianv1.BuildReportRequest{}
	for observer := range uint32(2*i.f + 1) {
		build.Observations = append(build.Observations, &medianv1.ParsedAttributedObservation{
			Timestamp: &timestamppb.Timestamp{Seconds: 1}, Value: wire.BigInt(big.NewInt(value)), Observer: observer,
			JuelsPerFeeCoin: &pluginv1.BigInt{}, GasPriceSubunits: &pluginv1.BigInt{},
		})
	}
	built, err := i.factory.loans.Provider.BuildReport(ctx, build)
	return built.GetReport(), err
}

func (*fakeProductInstance) Query(context.Context, *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	return &reportingv1.QueryResponse{}, nil
}

func (i *fakeProductInstance) Observation(ctx context.Context,
	r *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	at := r.GetTimestamp()
	seen, err := i.observe(ctx, fmt.Sprintf("%x/%d/%d", at.GetConfigDigest(), at.GetEpoch(), at.GetRound()))
	return &reportingv1.ObservationResponse{Observation: seen}, err
}

func (i *fakeProductInstance) Report(ctx context.Context,
	r *reportingv1.ReportRequest) (*reportingv1.ReportResponse, error) {
	report, err := i.report(ctx, middle(r.GetObservations()))
	return &reportingv1.ReportResponse{ShouldReport: true, Report: report}, err
}

func (*fakeProductInstance) ShouldAcceptFinalizedReport(
	context.Context, *reportingv1.ShouldAcceptFinalizedReportRequest,
) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: true}, nil
}

func (*fakeProductInstance) ShouldTransmitAcceptedReport(
	context.Context, *reportingv1.ShouldTransmitAcceptedReportRequest,
) (*reportingv1.ShouldTransmitAcceptedReportResponse, error) {
	return &reportingv1.ShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}

// fakeOcr3Instance is one under OCR3.
type fakeOcr3Instance struct{ *fakeProductInstance }

func (*fakeOcr3Instance) Query(context.Context,
	*reportingv1.Ocr3PluginServiceQueryRequest) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
	return &reportingv1.Ocr3PluginServiceQueryResponse{}, nil
}

func (i *fakeOcr3Instance) Observation(
	ctx context.Context, r *reportingv1.Ocr3PluginServiceObservationRequest,
) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
	i.factory.product.call("Observation", r.GetContext().GetSeqNr())
	seen, err := i.observe(ctx, fmt.Sprint(r.GetContext().GetSeqNr()))
	if status.Code(err) == codes.FailedPrecondition {
		err = nil // it keeps its part in the votes
	}
	return &reportingv1.Ocr3PluginServiceObservationResponse{Observation: seen}, err
}

func (i *fakeOcr3Instance) ValidateObservation(
	_ context.Context, r *reportingv1.Ocr3PluginServiceValidateObservationRequest,
) (*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
	i.factory.product.call("ValidateObservation", r.GetContext().GetSeqNr())
	return &reportingv1.Ocr3PluginServiceValidateObservationResponse{}, nil
}

func (*fakeOcr3Instance) ObservationQuorum(
	context.Context, *reportingv1.Ocr3PluginServiceObservationQuorumRequest,
) (*reportingv1.Ocr3PluginServiceObservationQuorumResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the fake's quorum is a number")
}

func (i *fakeOcr3Instance) Outcome(
	_ context.Context, r *reportingv1.Ocr3PluginServiceOutcomeRequest,
) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
	i.factory.product.call("Outcome", r.GetContext().GetSeqNr())
	number := uint64(1)
	if previous := r.GetContext().GetPreviousOutcome(); len(previous) > 0 {
		number += binary.BigEndian.Uint64(previous)
	}
	outcome := binary.BigEndian.AppendUint64(nil, number)
	outcome = binary.BigEndian.AppendUint64(outcome, uint64(middle(r.GetObservations())))
	return &reportingv1.Ocr3PluginServiceOutcomeResponse{Outcome: outcome}, nil
}

func (i *fakeOcr3Instance) Reports(
	ctx context.Context, r *reportingv1.Ocr3PluginServiceReportsRequest,
) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
	i.factory.product.call("Reports", r.GetSeqNr())
	if number := binary.BigEndian.Uint64(r.GetOutcome()); number != r.GetSeqNr() {
		return nil, status.Errorf(codes.FailedPrecondition, "the outcome %d has the number %d", number, r.GetSeqNr())
	}
	report, err := i.report(ctx, int64(binary.BigEndian.Uint64(r.GetOutcome()[8:])))
	return &reportingv1.Ocr3PluginServiceReportsResponse{
		Reports: []*reportingv1.ReportPlus{{Report: &reportingv1.ReportWithInfo{Report: report, Info: []byte{}}}},
	}, err
}

func (*fakeOcr3Instance) ShouldAcceptAttestedReport(
	context.Context, *reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest,
) (*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
	return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{ShouldAccept: true}, nil
}

func (*fakeOcr3Instance) ShouldTransmitAcceptedReport(
	context.Context, *reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest,
) (*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
	return &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}

// launch starts the product inside the node.
func (n *testNode) launch(p *fakeProduct) {
	plugin := productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return p })
	n.launchProduct(loophost.PluginSettings{InProcess: &plugin})
}

// launchProcess starts it in a process of its own.
func (n *testNode) launchProcess(mode string) {
	s := loophost.PluginSettings{Command: []string{os.Args[0]}, Env: []string{fakeMode + "=" + mode}}
	s.Confine.Write = []string{os.TempDir()} // tests name files in their folders
	n.launchProduct(s)
}

func (n *testNode) launchProduct(settings loophost.PluginSettings) {
	n.t.Helper()
	settings.Name = "fake-product"
	var err error
	if n.product, err = productv1loophost.LaunchProduct(n.t.Context(), n.runtime, settings); err != nil {
		n.t.Fatal(err)
	}
}

// productJob adds a job of the fake product.
func (n *testNode) productJob(version int, bootstrappers ...string) Settings {
	n.t.Helper()
	spec := n.spec(bootstrappers...)
	spec.PluginType, spec.PluginConfig = job.PluginProduct, job.PluginConfig{}
	spec.Product = &job.Product{
		Name: "fake", OCRVersion: version, ProviderType: "median", ConfigJSON: []byte(`{"pluginName":"fake"}`),
		Pipelines: []job.Pipeline{{Key: "observationSource", Pipeline: spec.Observation}},
	}
	s := n.job(spec)
	s.Median, s.Product = nil, n.product
	if version == 2 {
		s.ProductBounds = medianBounds()
	}
	return s
}
