package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeSource is a fake of a host's data source: a function.
type fakeSource func(context.Context) (*hostservicev1.ObserveResponse, error)

func (f fakeSource) Observe(ctx context.Context,
	_ *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	return f(ctx)
}

// fakeRelayer is a fake of a relayer's root: a function that serves the watch.
type fakeRelayer struct {
	relayerv1.RelayerServiceServer
	watch func(relayerv1.RelayerService_WatchContractConfigsServer) error
}

func (f fakeRelayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s relayerv1.RelayerService_WatchContractConfigsServer) error {
	return f.watch(s)
}

var (
	sourceDesc  = &hostservicev1.DataSourceService_ServiceDesc
	relayerDesc = &relayerv1.RelayerService_ServiceDesc
)

func observe() *hostservicev1.ObserveRequest {
	return &hostservicev1.ObserveRequest{Timestamp: round(nil)}
}

func answer(n int64) *hostservicev1.ObserveResponse { return observed(wire.BigInt(big.NewInt(n))) }

func change(provider string) *relayerv1.WatchContractConfigsResponse {
	return &relayerv1.WatchContractConfigsResponse{Provider: provider, ConfigDigest: make([]byte, 32)}
}

func source(cc grpc.ClientConnInterface) hostservicev1.DataSourceServiceClient {
	return hostservicev1.NewDataSourceServiceClient(wire.Bind(cc, "object"))
}

func TestDispatcherAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		serve fakeSource
		code  codes.Code
		text  string
	}{
		"answer": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) { return answer(5), nil }},
		"status": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) {
			return nil, status.Error(codes.FailedPrecondition, "task ds1 failed")
		}, code: codes.FailedPrecondition, text: "task ds1 failed"},
		"error": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) { return nil, errors.New("why") },
			code: codes.Unknown, text: "why"},
		"context": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) {
			return nil, context.DeadlineExceeded
		}, code: codes.DeadlineExceeded},
		"panic": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) { panic("boom") },
			code: codes.Internal, text: "/loop.hostservice.v1.DataSourceService/Observe panicked: boom"},
		"nothing": {serve: func(context.Context) (*hostservicev1.ObserveResponse, error) { return nil, nil },
			code: codes.Internal, text: "neither a message nor an error"},
	}
	for transport, connect := range transports() {
		for name, test := range tests {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				got, err := source(connect(t, seam(wire.Target{Impl: test.serve}, sourceDesc))).Observe(t.Context(), observe())
				s := status.Convert(err)
				if s.Code() != test.code || !strings.Contains(s.Message(), test.text) {
					t.Errorf("got %v; want %s and %q", err, test.code, test.text)
				}
				if err == nil && !proto.Equal(got, answer(5)) {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}

// A handler that runs out of time answers with the code for that, even if its error has a less telling one.
func TestOverdueCalls(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		code codes.Code
		want codes.Code
	}{
		"deadline":  {end: deadlined, code: codes.Unavailable, want: codes.DeadlineExceeded},
		"unknown":   {end: deadlined, code: codes.Unknown, want: codes.DeadlineExceeded},
		"cancelled": {end: cancelled, code: codes.Unavailable, want: codes.Canceled},
		"verdict":   {end: deadlined, code: codes.InvalidArgument, want: codes.InvalidArgument},
		"in time":   {end: context.WithCancel, code: codes.Unavailable, want: codes.Unavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var observed codes.Code
			d := wire.NewDispatcher(wire.DispatcherSettings{
				Resolver: always{Impl: fakeSource(func(context.Context) (*hostservicev1.ObserveResponse, error) {
					return nil, status.Error(tt.code, "keep the report: the store is away")
				})},
				Observe: func(_ string, code codes.Code, _ time.Duration) { observed = code },
			})
			var r registrar
			d.Register(&r, sourceDesc)
			ctx, cancel := tt.end(t.Context())
			defer cancel()
			whole := func(m any) error {
				proto.Merge(m.(proto.Message), observe())
				return nil
			}
			_, err := r.desc.Methods[0].Handler(nil, ctx, whole, nil)
			if got := status.Convert(err); got.Code() != tt.want || observed != tt.want ||
				got.Message() != "keep the report: the store is away" {
				t.Errorf("answered %v and observed %s, want %s", err, observed, tt.want)
			}
		})
	}
}

// registrar keeps what is registered: a call on it has no transport that would end it at its deadline.
type registrar struct{ desc *grpc.ServiceDesc }

// RegisterService implements grpc.ServiceRegistrar.
func (r *registrar) RegisterService(desc *grpc.ServiceDesc, _ any) { r.desc = desc }

func deadlined(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, time.Now())
}

func cancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx, cancel
}

func TestPanicOfAStream(t *testing.T) {
	t.Parallel()
	for transport, connect := range transports() {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			impl := fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
				if err := s.Send(change("a")); err != nil {
					return err
				}
				panic("boom")
			}}
			stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(connect(t, seam(wire.Target{Impl: impl}, relayerDesc)),
				"")).WatchContractConfigs(t.Context(), &relayerv1.WatchContractConfigsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if first, err := stream.Recv(); err != nil || first.GetProvider() != "a" {
				t.Fatalf("first message is %v, %v", first, err)
			}
			if _, err := stream.Recv(); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "boom") {
				t.Errorf("after a panic: %v", err)
			}
		})
	}
}

// Messages above the limit are refused by whoever would send them, or else by whoever receives them, naming the limit.
func TestMessagesAreLimited(t *testing.T) {
	t.Parallel()
	large := make([]byte, wire.MaxMessageBytes+1)
	codec := func(cc grpc.ClientConnInterface) medianv1.ReportCodecServiceClient {
		return medianv1.NewReportCodecServiceClient(cc)
	}
	for transport, connect := range transports() {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := patient(t) // such messages take long on a busy machine
			reply := &medianv1.BuildReportResponse{}
			f := &fake{answer: func(_ context.Context, m protoreflect.MethodDescriptor, _ proto.Message) (any, error) {
				if m.Name() == "BuildReport" {
					return reply, nil
				}
				return &medianv1.MedianFromReportResponse{Median: wire.BigInt(big.NewInt(1))}, nil
			}}
			checked, unchecked := connect(t, f.seam), connect(t, f.raw)
			rules := valid((&medianv1.ParsedAttributedObservation{}).ProtoReflect().Descriptor())
			request := &medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{
				rules.Example(0).(*medianv1.ParsedAttributedObservation)}}

			_, errRequest := codec(wire.Bind(unchecked, "o")).MedianFromReport(ctx,
				&medianv1.MedianFromReportRequest{Report: large})
			if f.calls.Load() != 0 {
				t.Error("a request above the limit left its caller")
			}
			reply.Report = large
			_, errAnswer := codec(checked).BuildReport(ctx, request)
			errs := map[string]error{"request": errRequest, "answer": errAnswer}
			if transport != "in-process" { // in one process only the two seams could look
				_, errs["request of a caller that did not look"] = codec(checked).MedianFromReport(ctx,
					&medianv1.MedianFromReportRequest{Report: large})
				_, errs["answer of a server that did not look"] = codec(wire.Bind(unchecked, "o")).BuildReport(ctx, request)
			}
			for what, err := range errs {
				if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "16777216") {
					t.Errorf("%s: %.200v", what, err)
				}
			}
			// The limit itself passes: 5 bytes are the tag and the length of the field.
			reply.Report = large[:wire.MaxMessageBytes-5]
			if _, err := codec(wire.Bind(checked, "o")).BuildReport(ctx, request); err != nil {
				t.Errorf("an answer of the limit: %.200v", err)
			}
			if _, err := codec(wire.Bind(checked, "o")).MedianFromReport(ctx,
				&medianv1.MedianFromReportRequest{Report: reply.GetReport()}); err != nil {
				t.Errorf("a request of the limit: %.200v", err)
			}
		})
	}
}

func TestGenerationTrailer(t *testing.T) {
	t.Parallel()
	for transport, connect := range transports() {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			d := dispatcher(wire.Target{Impl: struct {
				fakeSource
				fakeRelayer
			}{
				func(context.Context) (*hostservicev1.ObserveResponse, error) {
					return nil, status.Error(codes.Unavailable, "mine")
				},
				fakeRelayer{watch: func(relayerv1.RelayerService_WatchContractConfigsServer) error { return nil }},
			}})
			cc := connect(t, func(r grpc.ServiceRegistrar) { d.registerAll(r, sourceDesc, relayerDesc) })
			var trailer metadata.MD
			generation := func() []string {
				trailer = nil
				_, err := source(cc).Observe(t.Context(), observe(), grpc.Trailer(&trailer))
				if status.Code(err) != codes.Unavailable {
					t.Errorf("got %v", err)
				}
				return trailer.Get(wire.GenerationKey)
			}
			d.SetGeneration(7)
			if g := generation(); len(g) != 1 || g[0] != "7" {
				t.Errorf("an application's UNAVAILABLE came with generation %q; want 7", g)
			}
			if len(trailer.Get(wire.DrainingKey)) != 0 {
				t.Error("a call that was begun says that it was not")
			}
			stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(cc, "")).WatchContractConfigs(t.Context(),
				&relayerv1.WatchContractConfigsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended with %v", err)
			}
			if g := stream.Trailer().Get(wire.GenerationKey); len(g) != 1 || g[0] != "7" {
				t.Errorf("a stream came with generation %q; want 7", g)
			}
			if err := d.Drain(t.Context(), "the plugin is ending"); err != nil {
				t.Fatal(err)
			}
			if g := generation(); len(g) != 1 || g[0] != "7" {
				t.Errorf("a draining server's UNAVAILABLE came with generation %q; want 7", g)
			}
			if len(trailer.Get(wire.DrainingKey)) != 1 {
				t.Error("a call that was refused does not say that it was not begun")
			}
		})
	}
}

// Draining refuses new calls at once, waits for those in flight and no longer than it may, and not for streams.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		enter, leave := make(chan struct{}), make(chan struct{})
		d := dispatcher(wire.Target{Impl: struct {
			fakeSource
			fakeRelayer
		}{
			func(context.Context) (*hostservicev1.ObserveResponse, error) {
				enter <- struct{}{}
				<-leave
				return answer(1), nil
			},
			fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
				<-s.Context().Done()
				return s.Context().Err()
			}},
		}})
		cc := inProcess(t, func(r grpc.ServiceRegistrar) { d.registerAll(r, sourceDesc, relayerDesc) })
		watching, stopWatching := context.WithCancel(t.Context())
		stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(cc, "")).WatchContractConfigs(watching,
			&relayerv1.WatchContractConfigsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			stopWatching()
			runtime.KeepAlive(stream) // its finalizer cancels it, which nobody outside the bubble may do
		}()
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if _, err := source(cc).Observe(t.Context(), observe()); err != nil {
					t.Errorf("a call in flight: %v", err)
				}
			})
			<-enter
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := d.Drain(short, "the plugin is ending"); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(begin) != time.Second {
			t.Errorf("with calls in flight: %v after %s", err, time.Since(begin))
		}
		if _, err := source(cc).Observe(t.Context(), observe()); status.Code(err) != codes.Unavailable ||
			!strings.Contains(err.Error(), "the plugin is ending") {
			t.Errorf("a new call: %v", err)
		}
		drained := make(chan error, 2)
		for range cap(drained) {
			go func() { drained <- d.Drain(t.Context(), "again") }()
		}
		synctest.Wait()
		if len(drained) != 0 {
			t.Error("draining ended before the calls in flight")
		}
		close(leave)
		calls.Wait()
		for range cap(drained) {
			if err := <-drained; err != nil {
				t.Error(err)
			}
		}
		if err := d.Drain(t.Context(), "once more"); err != nil {
			t.Error(err)
		}
	})
}

// A resolver sees the service and the object, and its Done is called once per call however the call ends.
func TestTargets(t *testing.T) {
	t.Parallel()
	for transport, connect := range transports() {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := &recorder{impl: struct {
				fakeSource
				fakeRelayer
			}{
				func(context.Context) (*hostservicev1.ObserveResponse, error) { panic("boom") },
				fakeRelayer{watch: func(relayerv1.RelayerService_WatchContractConfigsServer) error { panic("boom") }},
			}}
			seen := make(chan string, 4)
			d := testDispatcher{wire.NewDispatcher(wire.DispatcherSettings{Resolver: r, Logger: slog.New(slog.DiscardHandler),
				Observe: func(method string, code codes.Code, _ time.Duration) { seen <- method + " " + code.String() }})}
			cc := connect(t, func(r grpc.ServiceRegistrar) { d.registerAll(r, sourceDesc, relayerDesc) })
			if _, err := hostservicev1.NewDataSourceServiceClient(wire.Bind(cc, "a name")).Observe(t.Context(),
				observe()); status.Code(err) != codes.Internal {
				t.Error(err)
			}
			if got := <-seen; got != "/loop.hostservice.v1.DataSourceService/Observe Internal" {
				t.Errorf("observed %s", got)
			}
			stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(cc, "")).WatchContractConfigs(t.Context(),
				&relayerv1.WatchContractConfigsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) != codes.Internal {
				t.Error(err)
			}
			if got := <-seen; got != "/loop.relayer.v1.RelayerService/WatchContractConfigs Internal" {
				t.Errorf("observed %s", got)
			}
			if _, err := hostservicev1.NewDataSourceServiceClient(wire.Bind(cc, "gone")).Observe(t.Context(),
				observe()); status.Code(err) != codes.NotFound {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if want := "loop.hostservice.v1.DataSourceService a name, loop.relayer.v1.RelayerService , " +
				"loop.hostservice.v1.DataSourceService gone"; strings.Join(r.asked, ", ") != want {
				t.Errorf("resolved %q; want %q", strings.Join(r.asked, ", "), want)
			}
			if r.done != 2 {
				t.Errorf("Done was called %d times for 2 calls that had a target", r.done)
			}
		})
	}
}

type recorder struct {
	impl  any
	mu    sync.Mutex
	asked []string
	done  int
}

// Resolve implements wire.Resolver.
func (r *recorder) Resolve(service, object string) (wire.Target, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, service+" "+object)
	if object == "gone" {
		return wire.Target{}, status.Error(codes.NotFound, "there is no object gone")
	}
	return wire.Target{Impl: r.impl, Done: func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done++
	}}, nil
}

// A call that names two objects is for neither.
func TestTwoNamesAreNone(t *testing.T) {
	t.Parallel()
	r := &recorder{impl: fakeSource(func(context.Context) (*hostservicev1.ObserveResponse, error) {
		return answer(1), nil
	})}
	cc := inProcess(t, func(registrar grpc.ServiceRegistrar) {
		wire.NewDispatcher(wire.DispatcherSettings{Resolver: r, Logger: slog.New(slog.DiscardHandler)}).Register(registrar,
			sourceDesc)
	})
	if _, err := hostservicev1.NewDataSourceServiceClient(wire.Bind(wire.Bind(cc, "a"), "b")).Observe(t.Context(),
		observe()); err != nil {
		t.Fatal(err)
	}
	if want := "loop.hostservice.v1.DataSourceService "; len(r.asked) != 1 || r.asked[0] != want {
		t.Errorf("resolved %q; want %q", r.asked, want)
	}
}

// The end of a target's context ends its streams, with the handler's own error or as UNAVAILABLE: nobody cancelled
// them.
func TestStreamsEndWithTheirTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		end  func(context.Context) error
		text string
	}{
		"with an error":    {func(context.Context) error { return status.Error(codes.Unavailable, "released") }, "released"},
		"with its context": {func(ctx context.Context) error { return ctx.Err() }, "ended with the object"},
	}
	for transport, connect := range transports() {
		for name, test := range tests {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				life, release := context.WithCancel(t.Context())
				defer release()
				impl := fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
					if err := s.Send(change("a")); err != nil {
						return err
					}
					<-s.Context().Done()
					return test.end(s.Context())
				}}
				stream, err := relayerv1.NewRelayerServiceClient(
					wire.Bind(connect(t, seam(wire.Target{Impl: impl, Context: life}, relayerDesc)), "")).
					WatchContractConfigs(t.Context(), &relayerv1.WatchContractConfigsRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Recv(); err != nil {
					t.Fatal(err)
				}
				release()
				if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), test.text) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// A caller that refuses an answer of a stream is done with the stream: gRPC's callers stop at the first error and rely
// on it to free the rest.
func TestARefusedAnswerEndsItsStream(t *testing.T) {
	t.Parallel()
	for transport, connect := range transports() {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			server := fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
				defer close(ended)
				if err := s.Send(&relayerv1.WatchContractConfigsResponse{Provider: "a",
					ConfigDigest: make([]byte, 31)}); err != nil {
					return err
				}
				<-s.Context().Done()
				return s.Context().Err()
			}}
			// a server that did not look
			cc := connect(t, func(r grpc.ServiceRegistrar) { r.RegisterService(relayerDesc, server) })
			stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(cc, "")).WatchContractConfigs(t.Context(),
				&relayerv1.WatchContractConfigsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); status.Code(err) != codes.Internal {
				t.Errorf("got %v", err)
			}
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("the server still serves the stream a minute later")
			}
		})
	}
}

func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	d := wire.NewDispatcher(wire.DispatcherSettings{
		Resolver: always{Impl: fakeSource(func(context.Context) (*hostservicev1.ObserveResponse, error) { panic("boom") })},
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
	})
	cc := inProcess(t, func(r grpc.ServiceRegistrar) { d.Register(r, sourceDesc) })
	if _, err := source(cc).Observe(t.Context(), observe()); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	if s := log.String(); !strings.Contains(s, "panic=boom") || !strings.Contains(s, "dispatch_test.go") {
		t.Errorf("the log does not say where it panicked: %s", s)
	}
}
