package median_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/median"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// fakeWorld stands for everything that a median asks of others: the contract and its codecs as libocr's own interfaces.
// libocr takes it directly, the plugin through servers.
type fakeWorld struct {
	libocr.StandardOnchainConfigCodec

	mu        sync.Mutex
	decoded   int
	decodeErr error
	details   transmission
	requested types.ReportTimestamp
	// requestedAgo is how long ago the round was requested.
	requestedAgo time.Duration
	// hold, if set, is what LatestTransmissionDetails waits for.
	hold chan struct{}
	held chan struct{}

	value, juels, gas source
	recorded          chan string
}

type transmission struct {
	types.ReportTimestamp
	answer *big.Int
	at     time.Time
	err    error
}

// source is a fake source: a function.
type source func(context.Context, types.ReportTimestamp) (*big.Int, error)

func (s source) Observe(ctx context.Context, t types.ReportTimestamp) (*big.Int, error) {
	return s(ctx, t)
}

func constant(n int64) source {
	return func(context.Context, types.ReportTimestamp) (*big.Int, error) { return big.NewInt(n), nil }
}

func newFakeWorld() *fakeWorld {
	return &fakeWorld{
		details: transmission{ReportTimestamp: types.ReportTimestamp{ConfigDigest: digest(1)}, answer: big.NewInt(100),
			at: time.Now()},
		value:    constant(100),
		juels:    constant(7),
		gas:      constant(3),
		recorded: make(chan string, 16),
		held:     make(chan struct{}, 16),
	}
}

func digest(b byte) types.ConfigDigest { return types.ConfigDigest(bytes.Repeat([]byte{b}, 32)) }

func (w *fakeWorld) Decode(ctx context.Context, b []byte) (libocr.OnchainConfig, error) {
	w.mu.Lock()
	w.decoded++
	err := w.decodeErr
	w.mu.Unlock()
	if err != nil {
		return libocr.OnchainConfig{}, err
	}
	return w.StandardOnchainConfigCodec.Decode(ctx, b)
}

func (w *fakeWorld) LatestTransmissionDetails(ctx context.Context) (
	types.ConfigDigest, uint32, uint8, *big.Int, time.Time, error) {
	w.mu.Lock()
	d, hold := w.details, w.hold
	w.mu.Unlock()
	if hold != nil {
		w.held <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return types.ConfigDigest{}, 0, 0, nil, time.Time{}, ctx.Err()
		}
	}
	return d.ConfigDigest, d.Epoch, d.Round, d.answer, d.at, d.err
}

func (w *fakeWorld) LatestRoundRequested(_ context.Context,
	lookback time.Duration) (types.ConfigDigest, uint32, uint8, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.requestedAgo > lookback {
		return types.ConfigDigest{}, 0, 0, nil
	}
	return w.requested.ConfigDigest, w.requested.Epoch, w.requested.Round, nil
}

const entryLength = 1 + 4 + 3*24

// BuildReport writes the observations in the order in which they come.
func (w *fakeWorld) BuildReport(_ context.Context, all []libocr.ParsedAttributedObservation) (types.Report, error) {
	var report []byte
	for _, o := range all {
		report = append(report, byte(o.Observer), byte(o.Timestamp>>24), byte(o.Timestamp>>16), byte(o.Timestamp>>8),
			byte(o.Timestamp))
		for _, v := range []*big.Int{o.Value, o.JuelsPerFeeCoin, o.GasPriceSubunits} {
			b, err := libocr.EncodeValue(v)
			if err != nil {
				return nil, err
			}
			report = append(report, b...)
		}
	}
	return report, nil
}

func (w *fakeWorld) MedianFromReport(_ context.Context, r types.Report) (*big.Int, error) {
	if len(r) == 0 || len(r)%entryLength != 0 {
		return nil, status.Error(codes.InvalidArgument, "these bytes are not a report")
	}
	middle := r[len(r)/entryLength/2*entryLength:]
	return libocr.DecodeValue(middle[5 : 5+24])
}

func (w *fakeWorld) MaxReportLength(_ context.Context, n int) (int, error) {
	return n * entryLength, nil
}

// fakeProvider serves a fakeWorld as a relayer's provider.
type fakeProvider struct{ *fakeWorld }

func timestamp(t types.ReportTimestamp) *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: t.ConfigDigest[:], Epoch: t.Epoch, Round: uint32(t.Round)}
}

func (p fakeProvider) LatestTransmissionDetails(ctx context.Context,
	_ *medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	d, e, r, answer, at, err := p.fakeWorld.LatestTransmissionDetails(ctx)
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp: timestamp(types.ReportTimestamp{ConfigDigest: d, Epoch: e, Round: r}), LatestAnswer: wire.BigInt(answer),
		LatestTimestamp: timestamppb.New(at),
	}, nil
}

func (p fakeProvider) LatestRoundRequested(ctx context.Context,
	r *medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	d, e, round, err := p.fakeWorld.LatestRoundRequested(ctx, r.GetLookback().AsDuration())
	if err != nil {
		return nil, err
	}
	return &medianv1.LatestRoundRequestedResponse{
		Timestamp: timestamp(types.ReportTimestamp{ConfigDigest: d, Epoch: e, Round: round})}, nil
}

func (p fakeProvider) BuildReport(ctx context.Context,
	r *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	var all []libocr.ParsedAttributedObservation
	for _, o := range r.GetObservations() {
		all = append(all, libocr.ParsedAttributedObservation{
			Timestamp: uint32(o.GetTimestamp().GetSeconds()), Value: wire.Int(o.GetValue()),
			JuelsPerFeeCoin:  wire.Int(o.GetJuelsPerFeeCoin()),
			GasPriceSubunits: wire.Int(o.GetGasPriceSubunits()), Observer: commontypes.OracleID(o.GetObserver()),
		})
	}
	report, err := p.fakeWorld.BuildReport(ctx, all)
	return &medianv1.BuildReportResponse{Report: report}, err
}

func (p fakeProvider) MedianFromReport(ctx context.Context,
	r *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	m, err := p.fakeWorld.MedianFromReport(ctx, r.GetReport())
	if err != nil {
		return nil, err
	}
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(m)}, nil
}

func (p fakeProvider) MaxReportLength(ctx context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	n, err := p.fakeWorld.MaxReportLength(ctx, int(r.GetN()))
	return &medianv1.MaxReportLengthResponse{MaxReportLength: uint32(n)}, err
}

func (p fakeProvider) EncodeOnchainConfig(ctx context.Context,
	r *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	b, err := p.Encode(ctx,
		libocr.OnchainConfig{Min: wire.Int(r.GetConfig().GetMin()), Max: wire.Int(r.GetConfig().GetMax())})
	return &medianv1.EncodeOnchainConfigResponse{Encoded: b}, err
}

func (p fakeProvider) DecodeOnchainConfig(ctx context.Context,
	r *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	c, err := p.Decode(ctx, r.GetEncoded())
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			err = status.Error(codes.InvalidArgument, err.Error())
		}
		return nil, err
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(c.Min),
		Max: wire.BigInt(c.Max)}}, nil
}

// fakeSource serves a source as the host does.
type fakeSource struct{ observe *source }

func (s fakeSource) Observe(ctx context.Context,
	r *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	v, err := (*s.observe)(ctx, types.ReportTimestamp{
		ConfigDigest: types.ConfigDigest(r.GetTimestamp().GetConfigDigest()), Epoch: r.GetTimestamp().GetEpoch(),
		Round: uint8(r.GetTimestamp().GetRound()),
	})
	if err != nil {
		return nil, err
	}
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(v)}, nil
}

// fakeErrorLog keeps what it is told.
type fakeErrorLog struct{ recorded chan string }

func (l fakeErrorLog) RecordError(_ context.Context,
	r *hostservicev1.RecordErrorRequest) (*hostservicev1.RecordErrorResponse, error) {
	l.recorded <- r.GetMessage()
	return &hostservicev1.RecordErrorResponse{}, nil
}

// fakeHost resolves the names that it lends.
type fakeHost map[string]any

// Resolve implements wire.Resolver.
func (h fakeHost) Resolve(_, object string) (wire.Target, error) {
	impl, ok := h[object]
	if !ok {
		return wire.Target{}, status.Errorf(codes.NotFound, "there is no object %q", object)
	}
	return wire.Target{Impl: impl}, nil
}

// process is one generation of the plugin, in this process.
type process struct {
	t         testing.TB
	plugin    *median.Plugin
	down, up  *inprocess.Channel
	lifecycle pluginv1.LifecycleServiceClient
	root      medianv1.MedianServiceClient
}

// start begins a generation of the plugin whose lent objects are those of w.
func start(t testing.TB, w *fakeWorld) process {
	t.Helper()
	down := inprocess.New()
	up := inprocess.New()
	logger := slog.New(slog.DiscardHandler)
	host := wire.NewDispatcher(wire.DispatcherSettings{Logger: logger, Resolver: fakeHost{
		"provider": fakeProvider{w}, "value": fakeSource{&w.value}, "juels": fakeSource{&w.juels}, "gas": fakeSource{&w.gas},
		"errors": fakeErrorLog{w.recorded},
	}})
	for _, d := range []*grpc.ServiceDesc{
		&medianv1.MedianContractService_ServiceDesc, &medianv1.ReportCodecService_ServiceDesc,
		&medianv1.OnchainConfigCodecService_ServiceDesc,
		&hostservicev1.DataSourceService_ServiceDesc, &hostservicev1.ErrorLogService_ServiceDesc,
	} {
		host.Register(up, d)
	}
	p := process{t: t, down: down, up: up,
		lifecycle: pluginv1.NewLifecycleServiceClient(wire.Bind(down, "")),
		root:      medianv1.NewMedianServiceClient(wire.Bind(down, ""))}
	loop.InProcess(medianv1loop.MedianPlugin(func(h *loop.Host) medianv1loop.MedianService {
		p.plugin = median.New(h)
		return p.plugin
	}), logger, down, up)
	_, err := p.lifecycle.Init(t.Context(), &pluginv1.InitRequest{
		HostAddress: "in-process", HostCertificatePem: "none", ClientCertificatePem: "none", ClientKeyPem: "none",
		Generation: 1, MaxMessageBytes: wire.MaxMessageBytes, Telemetry: "telemetry",
	})
	if err != nil {
		t.Fatalf("Init: %v", err)
	}
	return p
}

func factoryRequest() *medianv1.CreateMedianFactoryRequest {
	return &medianv1.CreateMedianFactoryRequest{
		Name: "factory", Provider: "provider", ValueSource: "value", JuelsPerFeeCoinSource: "juels",
		GasPriceSubunitsSource: "gas", ErrorLog: "errors",
	}
}

// pluginConfig is a configuration of four oracles, one of them faulty, that reports every deviation.
func pluginConfig(t testing.TB) types.ReportingPluginConfig {
	t.Helper()
	onchain, err := libocr.StandardOnchainConfigCodec{}.Encode(context.Background(),
		libocr.OnchainConfig{Min: big.NewInt(-1000), Max: big.NewInt(1000)})
	if err != nil {
		t.Fatal(err)
	}
	return types.ReportingPluginConfig{
		ConfigDigest: digest(1), OracleID: 2, N: 4, F: 1, OnchainConfig: onchain,
		OffchainConfig: libocr.OffchainConfig{AlphaReportPPB: 1, DeltaC: time.Hour}.Encode(),
	}
}

func instanceRequest(c types.ReportingPluginConfig) *reportingv1.CreateReportingPluginRequest {
	return &reportingv1.CreateReportingPluginRequest{
		Name: "instance", ConfigDigest: c.ConfigDigest[:], OracleId: uint32(c.OracleID), N: uint32(c.N), F: uint32(c.F),
		OnchainConfig: c.OnchainConfig, OffchainConfig: c.OffchainConfig,
	}
}

// instance makes a factory and an instance.
func (p process) instance(f *medianv1.CreateMedianFactoryRequest,
	c types.ReportingPluginConfig) reportingv1.ReportingPluginServiceClient {
	p.t.Helper()
	if _, err := p.root.CreateMedianFactory(p.t.Context(), f); err != nil {
		p.t.Fatalf("CreateMedianFactory: %v", err)
	}
	if _, err := p.factory().CreateReportingPlugin(p.t.Context(), instanceRequest(c)); err != nil {
		p.t.Fatalf("CreateReportingPlugin: %v", err)
	}
	return reportingv1.NewReportingPluginServiceClient(wire.Bind(p.down, "instance"))
}

func (p process) factory() reportingv1.ReportingPluginFactoryServiceClient {
	return reportingv1.NewReportingPluginFactoryServiceClient(wire.Bind(p.down, "factory"))
}

// release ends both objects.
func (p process) release() {
	p.t.Helper()
	if _, err := p.lifecycle.Release(context.WithoutCancel(p.t.Context()),
		&pluginv1.ReleaseRequest{Objects: []string{"instance", "factory"}}); err != nil {
		p.t.Errorf("Release: %v", err)
	}
}

var errSource = errors.New("task ds1 failed")
