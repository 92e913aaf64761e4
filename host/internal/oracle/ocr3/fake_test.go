package ocr3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeMode is the environment variable that says what a product process of this binary is.
const fakeMode = "OCR3_TEST_FAKE"

// TestMain is also the products' main: the tests start this binary again.
func TestMain(m *testing.M) {
	if os.Getenv(wire.CookieKey) == productv1loop.ProductKind().Cookie {
		productv1loop.ServeProduct(func(*loop.Host) productv1loop.ProductService { return &fake{mode: os.Getenv(fakeMode)} })
		return
	}
	goleak.VerifyTestMain(m)
}

// fake is a product that runs the tests' median, or misbehaves as its mode says: "WHAT:METHOD:PARAMETER" once for each
// method, with any method for "*".
type fake struct {
	productv1loop.UnimplementedProductService
	reportingv1loop.UnimplementedReportingPluginFactoryService

	mu     sync.Mutex
	mode   string
	asked  map[string]int
	closed int
}

func (f *fake) become(mode string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = mode
}

func (f *fake) questions(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[method]
}

// once reports whether this is the first call with a file of this name, across processes.
func once(path string) bool {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_ = file.Close()
	}
	return err == nil
}

// call behaves as the mode says of a method.
func (f *fake) call(ctx context.Context, method string) error {
	f.mu.Lock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[method]++
	asked, mode := f.asked[method], strings.SplitN(f.mode+"::", ":", 3)
	f.mu.Unlock()
	if mode[1] != "*" && mode[1] != method {
		return nil
	}
	parameter := strings.TrimRight(mode[2], ":")
	switch mode[0] {
	case "die":
		if once(parameter + "." + method) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "away":
		if asked < 4 {
			return status.Error(codes.Unavailable, "the fake is not ready")
		}
	case "fail":
		return status.Error(codes.FailedPrecondition, "the fake fails")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "panic":
		panic("the fake panics as asked")
	}
	return nil
}

func (f *fake) CreateProductFactory(ctx context.Context, _ *productv1.CreateProductFactoryRequest,
	_ productv1loop.CreateProductFactoryLoans) (
	productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	if f.call(ctx, "factory") != nil {
		return nil, nil, status.Error(codes.InvalidArgument, "the fake has no such window")
	}
	return f, &productv1.CreateProductFactoryResponse{}, nil
}

// long makes an answer longer than its limit if that is the mode.
func (f *fake) long(answer []byte, limit int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mode == "long" {
		return make([]byte, limit+1)
	}
	return answer
}

// limits are the fake's.
func limits() *reportingv1.Ocr3PluginLimits {
	return &reportingv1.Ocr3PluginLimits{MaxQueryLength: 100, MaxObservationLength: 100, MaxOutcomeLength: 1000,
		MaxReportLength: 1000, MaxReportCount: 3, MaxReportInfoLength: 10}
}

func (f *fake) CreateOcr3Plugin(ctx context.Context,
	r *reportingv1.CreateOcr3PluginRequest) (reportingv1loop.Ocr3Plugin, *reportingv1.CreateOcr3PluginResponse, error) {
	if f.call(ctx, "plugin") != nil {
		return nil, nil, status.Error(codes.InvalidArgument, "the fake cannot run this configuration")
	}
	response := &reportingv1.CreateOcr3PluginResponse{Product: "fake", Limits: limits(),
		ObservationQuorum: reportingv1.ObservationQuorum_OBSERVATION_QUORUM_CALL}
	f.mu.Lock()
	mode, grown, _ := strings.Cut(f.mode, "::")
	f.mu.Unlock()
	switch {
	case mode == "later":
		response.ObservationQuorum = 77
	case mode == "large":
		response.Limits.MaxReportCount, response.Limits.MaxReportLength = 2000, 10_000
	case mode == "grows" && !once(grown):
		response.Limits.MaxOutcomeLength = 77_777
	}
	return &instance{fake: f, median: median{f: int(r.GetF())}}, response, nil
}

// instance serves the tests' median by the contract.
type instance struct {
	fake   *fake
	median median
}

func (i *instance) Close() error {
	i.fake.mu.Lock()
	defer i.fake.mu.Unlock()
	i.fake.closed++
	return nil
}

func contextOf(c *reportingv1.OutcomeContext) ocr3types.OutcomeContext {
	return ocr3types.OutcomeContext{SeqNr: c.GetSeqNr(), PreviousOutcome: c.GetPreviousOutcome()}
}

func (i *instance) Query(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceQueryRequest) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
	if err := i.fake.call(ctx, "Query"); err != nil {
		return nil, err
	}
	query, err := i.median.Query(ctx, contextOf(r.GetContext()))
	return &reportingv1.Ocr3PluginServiceQueryResponse{Query: i.fake.long(query, 100)}, err
}

func (i *instance) Observation(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceObservationRequest) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
	if err := i.fake.call(ctx, "Observation"); err != nil {
		return nil, err
	}
	observation, err := i.median.Observation(ctx, contextOf(r.GetContext()), r.GetQuery())
	return &reportingv1.Ocr3PluginServiceObservationResponse{Observation: i.fake.long(observation, 100)}, err
}

func (i *instance) ValidateObservation(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceValidateObservationRequest) (
	*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
	if err := i.fake.call(ctx, "ValidateObservation"); err != nil {
		return nil, err
	}
	response := &reportingv1.Ocr3PluginServiceValidateObservationResponse{}
	if err := i.median.ValidateObservation(ctx, contextOf(r.GetContext()), r.GetQuery(),
		attributed(r.GetObservation())); err != nil {
		response.Problem = err.Error()
	}
	return response, nil
}

func (i *instance) ObservationQuorum(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceObservationQuorumRequest) (
	*reportingv1.Ocr3PluginServiceObservationQuorumResponse, error) {
	if err := i.fake.call(ctx, "ObservationQuorum"); err != nil {
		return nil, err
	}
	reached, err := i.median.ObservationQuorum(ctx, contextOf(r.GetContext()), r.GetQuery(),
		attributedAll(r.GetObservations()))
	return &reportingv1.Ocr3PluginServiceObservationQuorumResponse{QuorumReached: reached}, err
}

func (i *instance) Outcome(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceOutcomeRequest) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
	if err := i.fake.call(ctx, "Outcome"); err != nil {
		return nil, err
	}
	outcome, err := i.median.Outcome(ctx, contextOf(r.GetContext()), r.GetQuery(), attributedAll(r.GetObservations()))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &reportingv1.Ocr3PluginServiceOutcomeResponse{Outcome: i.fake.long(outcome, 1000)}, nil
}

func (i *instance) Reports(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceReportsRequest) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
	if err := i.fake.call(ctx, "Reports"); err != nil {
		return nil, err
	}
	reports, err := i.median.Reports(ctx, r.GetSeqNr(), r.GetOutcome())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return served(reports), nil
}

func (i *instance) ShouldAcceptAttestedReport(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse, error) {
	if err := i.fake.call(ctx, "ShouldAcceptAttestedReport"); err != nil {
		return nil, err
	}
	i.fake.mu.Lock()
	defer i.fake.mu.Unlock()
	return &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportResponse{ShouldAccept: i.fake.mode != "no"}, nil
}

func (i *instance) ShouldTransmitAcceptedReport(ctx context.Context,
	r *reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest) (
	*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
	if err := i.fake.call(ctx, "ShouldTransmitAcceptedReport"); err != nil {
		return nil, err
	}
	return &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}

// memory keeps answers as the node's database does.
type memory struct {
	mu      sync.Mutex
	answers map[string]bool
}

func (m *memory) key(digest types.ConfigDigest, seqNr uint64, report [sha256.Size]byte) string {
	return fmt.Sprintf("%x %d %x", digest, seqNr, report)
}

func (m *memory) Accepted(_ context.Context, digest types.ConfigDigest, seqNr uint64,
	report [sha256.Size]byte) (answer, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answer, known = m.answers[m.key(digest, seqNr, report)]
	return answer, known, nil
}

func (m *memory) PutAccepted(_ context.Context, digest types.ConfigDigest, seqNr uint64, report [sha256.Size]byte,
	answer bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept, known := m.answers[m.key(digest, seqNr, report)]; known {
		return kept, nil
	}
	m.answers[m.key(digest, seqNr, report)] = answer
	return answer, nil
}

// noMemory is a database that does not answer.
type noMemory struct{}

func (noMemory) Accepted(context.Context, types.ConfigDigest, uint64,
	[sha256.Size]byte) (answer, known bool, err error) {
	return false, false, errors.New("the disk is full")
}

func (noMemory) PutAccepted(context.Context, types.ConfigDigest, uint64, [sha256.Size]byte, bool) (bool, error) {
	return false, errors.New("the disk is full")
}

// parts are the parts of a job without the job.
type parts struct {
	t       *testing.T
	fake    *fake // nil out of process
	product *productv1loophost.Product
	factory *Factory
	failed  chan string
	rounds  rounds
}

// rounds is a fake of what counts.
type rounds struct {
	mu                               sync.Mutex
	asked, observed, voted, reported int
	epoch                            uint64
	lost                             []string
}

func (r *rounds) note(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *rounds) Asked(epoch uint64)             { r.note(func() { r.asked, r.epoch = r.asked+1, epoch }) }
func (r *rounds) Observed(error)                 { r.note(func() { r.observed++ }) }
func (r *rounds) Voted()                         { r.note(func() { r.voted++ }) }
func (r *rounds) Reported(_ uint64, reports int) { r.note(func() { r.reported += reports }) }
func (r *rounds) Lost(_ context.Context, call string, err error) {
	r.note(func() { r.lost = append(r.lost, call+": "+err.Error()) })
}

// newParts runs the fake inside the test's process, or with a mode that begins with "process " in one of its own.
func newParts(t *testing.T, mode string) *parts {
	t.Helper()
	settings := loophost.PluginSettings{Name: "fake"}
	if mode, ok := strings.CutPrefix(mode, "process "); ok {
		settings.Command, settings.Env = []string{os.Args[0]}, []string{fakeMode + "=" + mode}
		settings.Confine.Write = []string{os.TempDir()} // tests name files in their folders
		return newPartsOf(t, settings)
	}
	inside := &fake{mode: mode}
	plugin := productv1loop.ProductPlugin(func(*loop.Host) productv1loop.ProductService { return inside })
	settings.InProcess = &plugin
	p := newPartsOf(t, settings)
	p.fake = inside
	return p
}

// newPartsOf runs a product as settings say.
func newPartsOf(t *testing.T, settings loophost.PluginSettings) *parts {
	t.Helper()
	p := &parts{t: t, failed: make(chan string, 100)}
	runtime, err := loophost.New(loophost.Settings{Logger: slog.New(slog.DiscardHandler),
		StopTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close(context.Background()) })
	if p.product, err = productv1loophost.LaunchProduct(t.Context(), runtime, settings); err != nil {
		t.Fatal(err)
	}
	made := p.product.CreateProductFactory(
		&productv1.CreateProductFactoryRequest{OcrVersion: productv1.OcrVersion_OCR_VERSION_3, ProviderType: "median"},
		productv1loophost.CreateProductFactoryLoans{
			Provider:  newProvider(t, runtime),
			Pipelines: hostservicev1loophost.ExportPipeline(runtime, hostservicev1.UnimplementedPipelineServiceServer{}),
			ErrorLog:  hostservicev1loophost.ExportErrorLog(runtime, hostservicev1.UnimplementedErrorLogServiceServer{}),
		})
	p.factory = NewFactory(Settings{
		Name: "the fake", Product: made, Answers: &memory{answers: map[string]bool{}}, Logger: slog.New(slog.DiscardHandler),
		Rounds: &p.rounds, Running: func(types.ConfigDigest, time.Duration) {}, Fail: func(reason string) {
			p.failed <- reason
		},
	})
	return p
}

// newProvider makes something that can be lent as a provider and answers nothing.
func newProvider(t *testing.T, runtime *loophost.Runtime) *relayerv1loophost.Provider {
	t.Helper()
	plugin := relayerv1loop.RelayerPlugin(func(*loop.Host) relayerv1loop.RelayerService { return &relayer{} })
	r, err := relayerv1loophost.LaunchRelayer(t.Context(), runtime,
		loophost.PluginSettings{Name: "relayer", InProcess: &plugin})
	if err != nil {
		t.Fatal(err)
	}
	chain := r.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1"}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(runtime, hostservicev1.UnimplementedKeystoreServiceServer{}),
		Store:    hostservicev1loophost.ExportStore(runtime, hostservicev1.UnimplementedStoreServiceServer{}),
	})
	return chain.CreateProvider(&relayerv1.CreateProviderRequest{ProviderType: "median", TransmitterId: "a",
		Config: &relayerv1.ProviderConfig{ExternalJobId: "x", ContractId: "c"}})
}

type relayer struct {
	relayerv1loop.UnimplementedRelayerService
}

func (*relayer) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return &chain{}, &relayerv1.CreateChainResponse{}, nil
}

type chain struct {
	relayerv1loop.UnimplementedChainService
}

func (*chain) CreateProvider(context.Context,
	*relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	return provider{}, &relayerv1.CreateProviderResponse{}, nil
}

type provider struct {
	relayerv1.UnimplementedContractConfigServiceServer
	relayerv1.UnimplementedContractTransmitterServiceServer
	relayerv1.UnimplementedReportDigestServiceServer
	medianv1.UnimplementedMedianContractServiceServer
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
}

var testDigest = types.ConfigDigest{0, 1, 2, 3}

// new makes an instance as libocr does.
func (p *parts) new(config ocr3types.ReportingPluginConfig) (
	ocr3types.ReportingPlugin[Info], ocr3types.ReportingPluginInfo, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	config.ConfigDigest, config.N, config.F = testDigest, 4, 1
	made, info, err := p.factory.NewReportingPlugin(ctx, config)
	if err == nil {
		p.t.Cleanup(func() { _ = made.Close() })
	}
	return made, info, err
}

func (p *parts) instance() ocr3types.ReportingPlugin[Info] {
	p.t.Helper()
	made, _, err := p.new(ocr3types.ReportingPluginConfig{})
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}
