package median_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// discard is a fake logger for libocr's own factory.
type discard struct{}

func (discard) Trace(string, commontypes.LogFields)    {}
func (discard) Debug(string, commontypes.LogFields)    {}
func (discard) Info(string, commontypes.LogFields)     {}
func (discard) Warn(string, commontypes.LogFields)     {}
func (discard) Error(string, commontypes.LogFields)    {}
func (discard) Critical(string, commontypes.LogFields) {}

// direct is libocr's own instance on the same world.
func direct(t testing.TB, w *fakeWorld, gas bool,
	c types.ReportingPluginConfig) (types.ReportingPlugin, types.ReportingPluginInfo) {
	t.Helper()
	p, info, err := libocr.NumericalMedianFactory{
		ContractTransmitter: w, DataSource: w.value, JuelsPerFeeCoinDataSource: w.juels, GasPriceSubunitsDataSource: w.gas,
		IncludeGasPriceSubunitsInObservation: gas, Logger: discard{}, OnchainConfigCodec: w, ReportCodec: w,
	}.NewReportingPlugin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p, info
}

func int192() *rapid.Generator[*big.Int] {
	return rapid.Custom(func(t *rapid.T) *big.Int {
		v, err := libocr.DecodeValue(rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 24, 24),
			rapid.Map(rapid.IntRange(-3, 3), func(n int) []byte { b, _ := libocr.EncodeValue(big.NewInt(int64(n))); return b }),
			rapid.SampledFrom([][]byte{must(libocr.EncodeValue(libocr.MinValue())),
				must(libocr.EncodeValue(libocr.MaxValue()))}),
		).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func logicalTime() *rapid.Generator[types.ReportTimestamp] {
	return rapid.Custom(func(t *rapid.T) types.ReportTimestamp {
		return types.ReportTimestamp{
			ConfigDigest: digest(rapid.ByteRange(1, 2).Draw(t, "digest")),
			Epoch:        rapid.OneOf(rapid.Uint32Range(0, 2), rapid.Just[uint32](math.MaxUint32)).Draw(t, "epoch"),
			Round:        rapid.OneOf(rapid.ByteRange(0, 2), rapid.Just[byte](math.MaxUint8)).Draw(t, "round"),
		}
	})
}

func observation() *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) []byte {
			o := &libocr.NumericalMedianObservationProto{Timestamp: rapid.Uint32().Draw(t, "time"),
				Value:           must(libocr.EncodeValue(int192().Draw(t, "value"))),
				JuelsPerFeeCoin: must(libocr.EncodeValue(int192().Draw(t, "juels")))}
			if rapid.Bool().Draw(t, "has gas") {
				o.GasPriceSubunits = must(libocr.EncodeValue(int192().Draw(t, "gas")))
			}
			return must(proto.Marshal(o))
		}),
		rapid.SliceOfN(rapid.Byte(), 0, 40), // of a faulty oracle
	)
}

// Every answer of the plugin is the one that libocr gives on the same inputs, byte for byte.
func TestAnswersAreLibocrs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // observations carry the time, which must be one for both
		// rapid asks a *testing.T for its deadline, which a bubble refuses; it asks nobody else.
		rapid.Check(struct{ *testing.T }{t}, func(r *rapid.T) {
			w := newFakeWorld()
			value, juels, gas := int192().Draw(r, "value"), int192().Draw(r, "juels"), int192().Draw(r, "gas")
			fails := rapid.SampledFrom([]string{"", "", "", "value", "gas"}).Draw(r, "failing source")
			sourceOf := func(name string, v *big.Int) source {
				return func(context.Context, types.ReportTimestamp) (*big.Int, error) {
					if fails == name {
						return nil, status.Error(codes.FailedPrecondition, errSource.Error())
					}
					return v, nil
				}
			}
			w.value, w.juels, w.gas = sourceOf("value", value), sourceOf("juels", juels), sourceOf("gas", gas)
			n := rapid.IntRange(1, 255).Draw(r, "n")
			lowest, highest := libocr.MinValue(), libocr.MaxValue()
			if rapid.Bool().Draw(r, "bounded") {
				lowest, highest = big.NewInt(-2), big.NewInt(2)
			}
			config := types.ReportingPluginConfig{
				ConfigDigest: digest(1), OracleID: commontypes.OracleID(rapid.IntRange(0, 254).Draw(r, "oracle")), N: n,
				F:             rapid.IntRange(0, 2).Draw(r, "f"),
				OnchainConfig: must(w.Encode(t.Context(), libocr.OnchainConfig{Min: lowest, Max: highest})),
				OffchainConfig: libocr.OffchainConfig{
					AlphaReportInfinite: rapid.Bool().Draw(r, "never reports on deviation"),
					AlphaReportPPB:      rapid.Uint64().Draw(r, "alpha report"),
					AlphaAcceptInfinite: rapid.Bool().Draw(r, "never accepts on deviation"),
					AlphaAcceptPPB:      rapid.Uint64Range(0, 1e10).Draw(r, "alpha accept"),
					DeltaC:              time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(r, "delta c")),
				}.Encode(),
			}
			withGas := rapid.Bool().Draw(r, "gas included")
			want, info := direct(t, w, withGas, config)
			request := factoryRequest()
			request.IncludeGasPriceSubunits = withGas
			p := start(t, w)
			got := p.instance(request, config)
			defer p.release()
			created, err := p.factory().CreateReportingPlugin(t.Context(), instanceRequest(config))
			if err != nil {
				r.Fatal(err)
			}
			if diff := cmp.Diff(&reportingv1.CreateReportingPluginResponse{Product: info.Name, UniqueReports: info.UniqueReports,
				Limits: &reportingv1.ReportingPluginLimits{
					MaxQueryLength: uint32(info.Limits.MaxQueryLength), MaxObservationLength: uint32(info.Limits.MaxObservationLength),
					MaxReportLength: uint32(info.Limits.MaxReportLength),
				}}, created, protocmp.Transform()); diff != "" {
				r.Fatalf("answer of the constructor (-libocr +plugin):\n%s", diff)
			}

			same := func(what string, a any, errA error, b any, errB error) {
				if (errA == nil) != (errB == nil) {
					r.Fatalf("%s: libocr's error is %v, the plugin's %v", what, errA, errB)
				}
				if errA != nil {
					if c := status.Code(errB); c != codes.FailedPrecondition && c != codes.InvalidArgument {
						r.Fatalf("%s: code %s of %v", what, c, errB)
					}
					return
				}
				if diff := cmp.Diff(a, b); diff != "" {
					r.Fatalf("%s (-libocr +plugin):\n%s", what, diff)
				}
			}
			var lastReport types.Report
			r.Repeat(map[string]func(*rapid.T){
				"the chain moves": func(r *rapid.T) {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.details = transmission{ReportTimestamp: logicalTime().Draw(r, "transmitted"), answer: int192().Draw(r, "answer"),
						at: time.Now().Add(-time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(r, "age")))}
					w.requested = logicalTime().Draw(r, "requested")
					w.requestedAgo = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(r, "requested ago"))
				},
				"query": func(r *rapid.T) {
					at := logicalTime().Draw(r, "round")
					a, errA := want.Query(t.Context(), at)
					b, errB := got.Query(t.Context(), &reportingv1.QueryRequest{Timestamp: timestamp(at)})
					same("Query", string(a), errA, string(b.GetQuery()), errB)
				},
				"observation": func(r *rapid.T) {
					at := logicalTime().Draw(r, "round")
					query := rapid.SampledFrom([]string{"", "", "x"}).Draw(r, "query")
					a, errA := want.Observation(t.Context(), at, []byte(query))
					b, errB := got.Observation(t.Context(),
						&reportingv1.ObservationRequest{Timestamp: timestamp(at), Query: []byte(query)})
					same("Observation", string(a), errA, string(b.GetObservation()), errB)
				},
				"report": func(r *rapid.T) {
					at := logicalTime().Draw(r, "round")
					var theirs []types.AttributedObservation
					var ours []*reportingv1.AttributedObservation
					for _, observer := range rapid.SliceOfNDistinct(rapid.Uint32Range(0, 254), 1, min(n, 6), rapid.ID).Draw(r,
						"observers") {
						o := observation().Draw(r, "observation")
						theirs = append(theirs, types.AttributedObservation{Observation: o, Observer: commontypes.OracleID(observer)})
						ours = append(ours, &reportingv1.AttributedObservation{Observation: o, Observer: observer})
					}
					should, a, errA := want.Report(t.Context(), at, nil, theirs)
					b, errB := got.Report(t.Context(), &reportingv1.ReportRequest{Timestamp: timestamp(at), Observations: ours})
					same("Report", [2]any{should, string(a)}, errA, [2]any{b.GetShouldReport(), string(b.GetReport())}, errB)
					if should {
						lastReport = a
					}
				},
				"accept": func(r *rapid.T) {
					at := logicalTime().Draw(r, "round")
					report := rapid.SampledFrom([]types.Report{lastReport, lastReport, []byte("no report"),
						make([]byte, 300*entryLength)}).Draw(r, "report")
					a, errA := want.ShouldAcceptFinalizedReport(t.Context(), at, report)
					b, errB := got.ShouldAcceptFinalizedReport(t.Context(),
						&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: timestamp(at), Report: report})
					same("ShouldAcceptFinalizedReport", a, errA, b.GetShouldAccept(), errB)
				},
				"transmit": func(r *rapid.T) {
					at := logicalTime().Draw(r, "round")
					a, errA := want.ShouldTransmitAcceptedReport(t.Context(), at, lastReport)
					b, errB := got.ShouldTransmitAcceptedReport(t.Context(),
						&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: timestamp(at), Report: lastReport})
					same("ShouldTransmitAcceptedReport", a, errA, b.GetShouldTransmit(), errB)
				},
			})
		})
	})
}

func TestConstructionIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newFakeWorld()
	p := start(t, w)
	p.instance(factoryRequest(), pluginConfig(t))
	p.instance(factoryRequest(), pluginConfig(t))
	if w.decoded != 1 {
		t.Errorf("the on-chain configuration was decoded %d times; a repeated request must return the first object",
			w.decoded)
	}
	other := factoryRequest()
	other.IncludeGasPriceSubunits = true
	if _, err := p.root.CreateMedianFactory(t.Context(), other); status.Code(err) != codes.AlreadyExists {
		t.Errorf("another factory by the same name: %v", err)
	}
	config := pluginConfig(t)
	config.F = 0
	if _, err := p.factory().CreateReportingPlugin(t.Context(),
		instanceRequest(config)); status.Code(err) != codes.AlreadyExists {
		t.Errorf("another instance by the same name: %v", err)
	}
	p.release()
	if _, err := p.root.CreateMedianFactory(t.Context(), factoryRequest()); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a factory that was released: %v", err)
	}
}

func acceptRequest(t testing.TB, w *fakeWorld, epoch uint32) *reportingv1.ShouldAcceptFinalizedReportRequest {
	t.Helper()
	report, err := w.BuildReport(t.Context(),
		[]libocr.ParsedAttributedObservation{{Value: big.NewInt(5), JuelsPerFeeCoin: big.NewInt(1),
			GasPriceSubunits: new(big.Int)}})
	if err != nil {
		t.Fatal(err)
	}
	return &reportingv1.ShouldAcceptFinalizedReportRequest{
		Timestamp: timestamp(types.ReportTimestamp{ConfigDigest: digest(1), Epoch: epoch, Round: 1}), Report: report}
}

// After a restart the host makes the objects again by the names that they had; they work, and have forgotten what they
// accepted.
func TestRestartForgetsWhatWasAccepted(t *testing.T) {
	t.Parallel()
	w := newFakeWorld()
	for generation := range 2 {
		p := start(t, w)
		i := p.instance(factoryRequest(), pluginConfig(t))
		for repeat, want := range []bool{true, false} {
			a, err := i.ShouldAcceptFinalizedReport(t.Context(), acceptRequest(t, w, 1))
			if err != nil || a.GetShouldAccept() != want {
				t.Errorf("generation %d, call %d: accepted is %t, %v; want %t", generation+1, repeat+1, a.GetShouldAccept(), err,
					want)
			}
		}
	}
}

func TestConstructionRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		factory  func(*medianv1.CreateMedianFactoryRequest)
		instance func(*reportingv1.CreateReportingPluginRequest)
		world    func(*fakeWorld)
		code     codes.Code
		field    string
		text     string
	}{
		"deviation function": {
			factory: func(r *medianv1.CreateMedianFactoryRequest) {
				r.DeviationFunction = &medianv1.DeviationFunction{Type: "pendle"}
			},
			code: codes.InvalidArgument, field: "deviation_function.type", text: `"pendle" is not known`,
		},
		"off-chain configuration that is not protobuf": {
			instance: func(r *reportingv1.CreateReportingPluginRequest) { r.OffchainConfig = []byte{0xff} },
			code:     codes.InvalidArgument, field: "offchain_config", text: "does not decode",
		},
		"off-chain configuration with a negative DeltaC": {
			instance: func(r *reportingv1.CreateReportingPluginRequest) {
				r.OffchainConfig = libocr.OffchainConfig{DeltaC: -1}.Encode()
			},
			code: codes.InvalidArgument, field: "offchain_config", text: "DeltaC",
		},
		"on-chain configuration": {
			instance: func(r *reportingv1.CreateReportingPluginRequest) { r.OnchainConfig = []byte{1} },
			code:     codes.InvalidArgument, text: "decoding the on-chain configuration: unexpected length",
		},
		"digest of 31 bytes": {
			instance: func(r *reportingv1.CreateReportingPluginRequest) { r.ConfigDigest = make([]byte, 31) },
			code:     codes.InvalidArgument, field: "config_digest", text: "31 bytes",
		},
		"oracle 255": {
			instance: func(r *reportingv1.CreateReportingPluginRequest) { r.OracleId = 255 },
			code:     codes.InvalidArgument, field: "oracle_id", text: "255",
		},
		// A codec that is away says nothing of the configuration: the host must try again.
		"codec that is away": {
			world: func(w *fakeWorld) { w.decodeErr = status.Error(codes.Unavailable, "the relayer restarts") },
			code:  codes.Unavailable, text: "decoding the on-chain configuration: the relayer restarts",
		},
		"provider that is not lent": {
			factory: func(r *medianv1.CreateMedianFactoryRequest) { r.Provider = "another" },
			code:    codes.NotFound, text: "another",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFakeWorld()
			f, i := factoryRequest(), instanceRequest(pluginConfig(t))
			if test.factory != nil {
				test.factory(f)
			}
			if test.instance != nil {
				test.instance(i)
			}
			if test.world != nil {
				test.world(w)
			}
			p := start(t, w)
			_, err := p.root.CreateMedianFactory(t.Context(), f)
			if err == nil {
				_, err = p.factory().CreateReportingPlugin(t.Context(), i)
			}
			s := status.Convert(err)
			if s.Code() != test.code || !strings.Contains(s.Message(), test.text) || strings.Contains(s.Message(), "rpc error") {
				t.Errorf("got %s %q; want %s and a sentence with %q", s.Code(), s.Message(), test.code, test.text)
			}
			if got := violation(s); got != test.field {
				t.Errorf("the error names the field %q; want %q", got, test.field)
			}
		})
	}
}

func violation(s *status.Status) string {
	for _, d := range s.Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			return b.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

func observe(at uint32) *reportingv1.ObservationRequest {
	return &reportingv1.ObservationRequest{
		Timestamp: timestamp(types.ReportTimestamp{ConfigDigest: digest(1), Epoch: at, Round: 1})}
}

func TestErrorsOfSources(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ types.ReportTimestamp) (*big.Int, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	fail := func(context.Context, types.ReportTimestamp) (*big.Int, error) {
		return nil, status.Error(codes.FailedPrecondition, errSource.Error())
	}
	tests := map[string]struct {
		value, juels source
		call         func(context.Context) (context.Context, context.CancelFunc)
		code         codes.Code
		text         string
	}{
		"fails": {value: fail, juels: constant(1), code: codes.FailedPrecondition,
			text: "the value source: task ds1 failed"},
		"second fails": {value: constant(1), juels: fail, code: codes.FailedPrecondition,
			text: "the source of juels per fee coin: task ds1 failed"},
		"hangs to the deadline":     {value: hang, juels: constant(1), code: codes.DeadlineExceeded},
		"hangs, another has failed": {value: fail, juels: hang, code: codes.DeadlineExceeded},
		"hangs, the caller goes": {value: constant(1), juels: hang, code: codes.Canceled,
			call: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			}},
		"panics": {value: func(context.Context, types.ReportTimestamp) (*big.Int, error) { panic("boom") },
			juels: constant(1), code: codes.Internal, text: "boom"},
		"answers a number too large": {value: func(context.Context, types.ReportTimestamp) (*big.Int, error) {
			return new(big.Int).Lsh(big.NewInt(1), 191), nil
		}, juels: constant(1), code: codes.Internal, text: "192 bits"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld()
				w.value, w.juels = test.value, test.juels
				p := start(t, w)
				i := p.instance(factoryRequest(), pluginConfig(t))
				defer p.release()
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if test.call != nil {
					ctx, cancel = test.call(ctx)
				}
				defer cancel()
				begin := time.Now()
				_, err := i.Observation(ctx, observe(1))
				s := status.Convert(err)
				if s.Code() != test.code || !strings.Contains(s.Message(), test.text) ||
					strings.Contains(s.Message(), "rpc error") {
					t.Errorf("got %s %q; want %s and %q", s.Code(), s.Message(), test.code, test.text)
				}
				if took := time.Since(begin); took > 30*time.Second {
					t.Errorf("took %s; the contract's timeout is 30s", took)
				}
			})
		})
	}
}

// Acceptance of one report is decided once, however many ask at a time, and the race detector finds nothing.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	w := newFakeWorld()
	i := start(t, w).instance(factoryRequest(), pluginConfig(t))
	var all sync.WaitGroup
	accepted := make(chan bool, 64)
	for k := range cap(accepted) {
		all.Go(func() {
			a, err := i.ShouldAcceptFinalizedReport(t.Context(), acceptRequest(t, w, 1))
			if err != nil {
				t.Errorf("ShouldAcceptFinalizedReport: %v", err)
			}
			accepted <- a.GetShouldAccept()
		})
		all.Go(func() {
			if _, err := i.Observation(t.Context(), observe(uint32(k))); err != nil {
				t.Errorf("Observation: %v", err)
			}
		})
		all.Go(func() {
			if _, err := i.ShouldTransmitAcceptedReport(t.Context(),
				&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: acceptRequest(t, w, 1).GetTimestamp()}); err != nil {
				t.Errorf("ShouldTransmitAcceptedReport: %v", err)
			}
		})
	}
	all.Wait()
	close(accepted)
	yes := 0
	for a := range accepted {
		if a {
			yes++
		}
	}
	if yes != 1 {
		t.Errorf("one report was accepted %d times", yes)
	}
}

// While one acceptance waits for the chain, observations go on, and another acceptance keeps its own deadline.
func TestAcceptanceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld()
		p := start(t, w)
		i := p.instance(factoryRequest(), pluginConfig(t))
		defer p.release()
		hold := make(chan struct{})
		w.mu.Lock()
		w.hold = hold
		w.mu.Unlock()
		first := make(chan error, 1)
		go func() {
			a, err := i.ShouldAcceptFinalizedReport(t.Context(), acceptRequest(t, w, 1))
			if err == nil && !a.GetShouldAccept() {
				err = errors.New("it was not accepted")
			}
			first <- err
		}()
		<-w.held
		if _, err := i.Observation(t.Context(), observe(1)); err != nil {
			t.Errorf("an observation meanwhile: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := i.ShouldAcceptFinalizedReport(ctx, acceptRequest(t, w, 2)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("an acceptance that waits behind another: %v", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it waited %s; its deadline is 1s", took)
		}
		if len(w.held) != 0 {
			t.Error("a second acceptance was decided while the first was: they share what libocr's instance remembers")
		}
		close(hold)
		if err := <-first; err != nil {
			t.Errorf("the acceptance that was held: %v", err)
		}
	})
}

// panicking is a fake connection whose calls panic, as a client that is broken might.
type panicking struct{ grpc.ClientConnInterface }

func (panicking) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { panic("boom") }

// lentBy makes an instance without the SDK's servers between, whose value source is on another connection.
func (p process) lentBy(values grpc.ClientConnInterface) reportingv1.ReportingPluginServiceServer {
	p.t.Helper()
	provider := wire.Bind(p.up, "provider")
	f, _, err := p.plugin.CreateMedianFactory(p.t.Context(), factoryRequest(), medianv1loop.CreateMedianFactoryLoans{
		Provider: medianv1loop.MedianFactoryProvider{
			MedianContractServiceClient:     medianv1.NewMedianContractServiceClient(provider),
			ReportCodecServiceClient:        medianv1.NewReportCodecServiceClient(provider),
			OnchainConfigCodecServiceClient: medianv1.NewOnchainConfigCodecServiceClient(provider),
		},
		ValueSource:            hostservicev1.NewDataSourceServiceClient(values),
		JuelsPerFeeCoinSource:  hostservicev1.NewDataSourceServiceClient(wire.Bind(p.up, "juels")),
		GasPriceSubunitsSource: hostservicev1.NewDataSourceServiceClient(wire.Bind(p.up, "gas")),
		ErrorLog:               hostservicev1.NewErrorLogServiceClient(wire.Bind(p.up, "errors")),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	i, _, err := f.CreateReportingPlugin(p.t.Context(), instanceRequest(pluginConfig(p.t)))
	if err != nil {
		p.t.Fatal(err)
	}
	return i
}

// libocr asks its sources on goroutines of its own: a panic there must not end the process.
func TestPanicOfALentClientIsAnError(t *testing.T) {
	t.Parallel()
	_, err := start(t, newFakeWorld()).lentBy(panicking{}).Observation(t.Context(), observe(1))
	if s := status.Convert(err); s.Code() != codes.Internal ||
		!strings.Contains(s.Message(), "the value source: the call panicked: boom") {
		t.Errorf("got %v", err)
	}
}

// When one source failed and another hung, the deadline is what the caller must hear of, whichever libocr names first.
func TestEndedContextComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld()
		w.value = func(context.Context, types.ReportTimestamp) (*big.Int, error) {
			return nil, status.Error(codes.FailedPrecondition, errSource.Error())
		}
		w.juels = func(ctx context.Context, _ types.ReportTimestamp) (*big.Int, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p := start(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.lentBy(wire.Bind(p.up, "value")).Observation(ctx, observe(1))
		if s := status.Convert(err); s.Code() != codes.DeadlineExceeded || !strings.Contains(s.Message(), errSource.Error()) {
			t.Errorf("got %v", err)
		}
	})
}

// What was not checked on its way is refused rather than cut to OCR2's widths.
func TestNumbersAreNotCut(t *testing.T) {
	t.Parallel()
	p := start(t, newFakeWorld())
	i := p.lentBy(wire.Bind(p.up, "value"))
	round := observe(1).GetTimestamp()
	round.Round = 256
	_, errRound := i.Observation(t.Context(), &reportingv1.ObservationRequest{Timestamp: round})
	_, errObserver := i.Report(t.Context(),
		&reportingv1.ReportRequest{Timestamp: observe(1).GetTimestamp(),
			Observations: []*reportingv1.AttributedObservation{{}, {Observer: 256}}})
	for field, err := range map[string]error{"timestamp.round": errRound, "observations[1].observer": errObserver} {
		if s := status.Convert(err); s.Code() != codes.InvalidArgument || !strings.Contains(s.Message(), field) {
			t.Errorf("got %v; want INVALID_ARGUMENT naming %s", err, field)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newFakeWorld()
	p := start(t, w)
	i := p.instance(factoryRequest(), pluginConfig(t))
	for range 2 {
		if _, err := i.Observation(t.Context(), observe(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := i.ShouldAcceptFinalizedReport(t.Context(), acceptRequest(t, w, 1)); err != nil {
			t.Fatal(err)
		}
	}
	exposition := func() string {
		m, err := p.lifecycle.CollectMetrics(t.Context(), &pluginv1.CollectMetricsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return string(m.GetExposition())
	}
	got := exposition()
	for _, line := range []string{
		`loop_median_observations_total{outcome="made"} 2`,
		`loop_median_decisions_total{answer="yes",decision="accept"} 1`,
		`loop_median_decisions_total{answer="no",decision="accept"} 1`,
		`loop_median_instances 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("the exposition lacks %s:\n%s", line, got)
		}
	}
	p.release()
	if line := "loop_median_instances 0\n"; !strings.Contains(exposition(), line) {
		t.Errorf("after the release the exposition lacks %s", line)
	}
}
