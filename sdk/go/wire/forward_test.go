package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
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

// forwarded runs a test over each pair of transports: caller to host, and host to the owner that register registers.
func forwarded(t *testing.T,
	test func(t *testing.T,
		through func(owner func(grpc.ServiceRegistrar), services ...*grpc.ServiceDesc) grpc.ClientConnInterface)) {
	for first, toHost := range transports() {
		for second, toOwner := range transports() {
			t.Run(first+" to "+second, func(t *testing.T) {
				t.Parallel()
				test(t, func(owner func(grpc.ServiceRegistrar), services ...*grpc.ServiceDesc) grpc.ClientConnInterface {
					return toHost(t, seam(wire.Target{Forward: wire.Bind(toOwner(t, owner), "owned")}, services...))
				})
			})
		}
	}
}

// codecDesc is a fake service of the name of a contract's, which takes and gives bytes as they are.
func codecDesc(serve func(ctx context.Context, request []byte) ([]byte, error)) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: "loop.median.v1.ReportCodecService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "MedianFromReport",
			Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				f := &wire.Frame{}
				if err := dec(f); err != nil {
					return nil, err
				}
				b, err := serve(ctx, f.Data.Materialize())
				if err != nil {
					return nil, err
				}
				return frame(b), nil
			},
		}}}
}

// Calls pass a forwarder undecoded: bytes that are not a message come out as they went in, both ways.
func TestForwardedCallsAreNotDecoded(t *testing.T) {
	t.Parallel()
	forwarded(t,
		func(t *testing.T, through func(func(grpc.ServiceRegistrar), ...*grpc.ServiceDesc) grpc.ClientConnInterface) {
			cc := through(func(r grpc.ServiceRegistrar) {
				r.RegisterService(codecDesc(func(_ context.Context, b []byte) ([]byte, error) {
					return append([]byte("\xffanswer to "), b...), nil
				}), struct{}{})
			}, &medianv1.ReportCodecService_ServiceDesc)
			for _, request := range []string{"", "\xff\xff no message", strings.Repeat("x", 1<<20)} {
				reply := &wire.Frame{}
				if err := wire.Bind(cc, "lent").Invoke(patient(t), medianv1.ReportCodecService_MedianFromReport_FullMethodName,
					frame([]byte(request)), reply); err != nil {
					t.Fatal(err)
				}
				if got := string(reply.Data.Materialize()); got != "\xffanswer to "+request {
					t.Errorf("%.40q came back as %.60q", request, got)
				}
			}
		})
}

// The owner sees its own name for the object, the caller's deadline and what metadata the caller added, once each.
func TestForwardedCallsKeepTheirContext(t *testing.T) {
	t.Parallel()
	forwarded(t,
		func(t *testing.T, through func(func(grpc.ServiceRegistrar), ...*grpc.ServiceDesc) grpc.ClientConnInterface) {
			type seen struct{ Object, Trace []string }
			var got seen
			var left time.Duration
			cc := through(func(r grpc.ServiceRegistrar) {
				r.RegisterService(codecDesc(func(ctx context.Context, _ []byte) ([]byte, error) {
					md, _ := metadata.FromIncomingContext(ctx)
					got = seen{md.Get(wire.ObjectKey), md.Get("traceparent")}
					if at, ok := ctx.Deadline(); ok {
						left = time.Until(at)
					}
					return nil, nil
				}), struct{}{})
			}, &medianv1.ReportCodecService_ServiceDesc)
			invoke := func(ctx context.Context) {
				t.Helper()
				ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", "00-1-2-3")
				if err := wire.Bind(cc, "lent").Invoke(ctx, medianv1.ReportCodecService_MedianFromReport_FullMethodName, frame(nil),
					&wire.Frame{}); err != nil {
					t.Fatal(err)
				}
			}
			invoke(t.Context())
			if diff := cmp.Diff(seen{[]string{"owned"}, []string{"00-1-2-3"}}, got); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			if left <= 0 || left > 5*time.Second {
				t.Errorf("the owner had %s left; the method's timeout is 5s", left)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			invoke(ctx)
			if left <= 59*time.Minute || left > time.Hour {
				t.Errorf("the owner had %s left; the caller's deadline is 1h", left)
			}
		})
}

func TestForwardedErrorsKeepTheirDetails(t *testing.T) {
	t.Parallel()
	forwarded(t,
		func(t *testing.T, through func(func(grpc.ServiceRegistrar), ...*grpc.ServiceDesc) grpc.ClientConnInterface) {
			v := &wire.Violation{Field: "report", Problem: "is not a report"}
			owner := &fake{answer: func(_ context.Context, m protoreflect.MethodDescriptor, _ proto.Message) (any, error) {
				if m.Name() == "BuildReport" {
					panic("boom")
				}
				return nil, v.Status(m.Input().FullName()).Err()
			}}
			codec := medianv1.NewReportCodecServiceClient(
				wire.Bind(through(owner.seam, &medianv1.ReportCodecService_ServiceDesc), "lent"))
			_, err := codec.MedianFromReport(patient(t), &medianv1.MedianFromReportRequest{})
			expectViolation(t, "a forwarded error", "report", err)
			if b, ok := status.Convert(err).Details()[0].(*errdetails.BadRequest); !ok ||
				b.GetFieldViolations()[0].GetDescription() != v.Problem {
				t.Errorf("details are %v", status.Convert(err).Details())
			}
			rules := valid((&medianv1.ParsedAttributedObservation{}).ProtoReflect().Descriptor())
			observation := rules.Example(0).(*medianv1.ParsedAttributedObservation)
			_, err = codec.BuildReport(patient(t),
				&medianv1.BuildReportRequest{Observations: []*medianv1.ParsedAttributedObservation{observation}})
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "boom") {
				t.Errorf("a panic of the owner: %v", err)
			}
		})
}

// An owner learns that its caller has gone, or has waited long enough, through the forwarder.
func TestForwardedCallsEndWithTheirCaller(t *testing.T) {
	t.Parallel()
	forwarded(t,
		func(t *testing.T, through func(func(grpc.ServiceRegistrar), ...*grpc.ServiceDesc) grpc.ClientConnInterface) {
			entered, ended := make(chan struct{}), make(chan error)
			cc := through(seam(wire.Target{Impl: fakeSource(func(ctx context.Context) (*hostservicev1.ObserveResponse, error) {
				select {
				case entered <- struct{}{}:
				case <-ctx.Done(): // on a busy machine the caller's time may be over already
					return nil, ctx.Err()
				}
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			})}, sourceDesc), sourceDesc)
			patience := 200 * time.Millisecond
			for want, end := range map[codes.Code]func(context.Context) (context.Context, context.CancelFunc){
				codes.Canceled: context.WithCancel,
				codes.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(ctx, patience)
				},
			} {
				result := make(chan error, 1)
				call := func() (arrived bool, cancel context.CancelFunc) {
					ctx, cancel := end(t.Context())
					go func() {
						_, err := source(cc).Observe(ctx, observe())
						result <- err
					}()
					select {
					case <-entered:
						return true, cancel
					case err := <-result:
						if status.Code(err) != want {
							t.Fatalf("got %v before the owner was asked", err)
						}
						return false, cancel
					}
				}
				arrived, cancel := call()
				for ; !arrived && patience < time.Minute; patience *= 2 {
					cancel()
					arrived, cancel = call()
				}
				if !arrived {
					t.Fatal("the owner is not asked")
				}
				if want == codes.Canceled {
					cancel()
				}
				select {
				case <-ended:
				case <-time.After(time.Minute):
					t.Fatalf("%s: the owner still serves a minute later", want)
				}
				if err := <-result; status.Code(err) != want {
					t.Errorf("got %v; want %s", err, want)
				}
				cancel()
			}
		})
}

func TestForwardedStreams(t *testing.T) {
	t.Parallel()
	const messages = 100
	tests := map[string]struct {
		end  func(relayerv1.RelayerService_WatchContractConfigsServer) error
		want codes.Code // OK: the end of the stream
	}{
		"ends": {func(relayerv1.RelayerService_WatchContractConfigsServer) error { return nil }, codes.OK},
		"fails": {func(relayerv1.RelayerService_WatchContractConfigsServer) error {
			return status.Error(codes.Unavailable, "the relayer restarts")
		}, codes.Unavailable},
		"panics": {func(relayerv1.RelayerService_WatchContractConfigsServer) error { panic("boom") }, codes.Internal},
		"breaks the contract": {func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
			return s.Send(&relayerv1.WatchContractConfigsResponse{Provider: "p", ConfigDigest: make([]byte, 31)})
		}, codes.Internal},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forwarded(t,
				func(t *testing.T, through func(func(grpc.ServiceRegistrar), ...*grpc.ServiceDesc) grpc.ClientConnInterface) {
					owner := fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
						for i := range messages {
							if err := s.Send(change(fmt.Sprint(i))); err != nil {
								return err
							}
						}
						return test.end(s)
					}}
					cc := through(seam(wire.Target{Impl: owner}, relayerDesc), relayerDesc)
					stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(cc, "lent")).WatchContractConfigs(t.Context(),
						&relayerv1.WatchContractConfigsRequest{})
					if err != nil {
						t.Fatal(err)
					}
					for i := range messages {
						if m, err := stream.Recv(); err != nil || m.GetProvider() != fmt.Sprint(i) {
							t.Fatalf("message %d is %v, %v", i, m, err)
						}
					}
					_, err = stream.Recv()
					if (test.want == codes.OK) != errors.Is(err, io.EOF) || (test.want != codes.OK && status.Code(err) != test.want) {
						t.Errorf("the stream ended with %v; want %s", err, test.want)
					}
				})
		})
	}
}

// A forwarded stream ends at its owner when its caller goes, and when the loan through which it runs ends.
func TestForwardedStreamsEnd(t *testing.T) {
	t.Parallel()
	for first, toHost := range transports() {
		for second, toOwner := range transports() {
			for _, who := range []string{"caller", "loan"} {
				t.Run(first+" to "+second+"/"+who, func(t *testing.T) {
					t.Parallel()
					ended := make(chan struct{})
					owner := fakeRelayer{watch: func(s relayerv1.RelayerService_WatchContractConfigsServer) error {
						defer close(ended)
						if err := s.Send(change("a")); err != nil {
							return err
						}
						<-s.Context().Done()
						return s.Context().Err()
					}}
					loan, endLoan := context.WithCancel(t.Context())
					defer endLoan()
					target := wire.Target{Forward: wire.Bind(toOwner(t, seam(wire.Target{Impl: owner}, relayerDesc)), "owned"),
						Context: loan}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					stream, err := relayerv1.NewRelayerServiceClient(wire.Bind(toHost(t, seam(target, relayerDesc)), "lent")).
						WatchContractConfigs(ctx, &relayerv1.WatchContractConfigsRequest{})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := stream.Recv(); err != nil {
						t.Fatal(err)
					}
					want := codes.Canceled
					if who == "caller" {
						cancel()
					} else {
						want = codes.Unavailable
						endLoan()
					}
					select {
					case <-ended:
					case <-time.After(time.Minute):
						t.Error("the owner still serves the stream a minute later")
					}
					if _, err := stream.Recv(); status.Code(err) != want {
						t.Errorf("the stream ended with %v; want %s", err, want)
					}
				})
			}
		}
	}
}

func TestClonerRefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	if err := (wire.Cloner{}).Copy(&hostservicev1.Entry{}, "text"); err == nil {
		t.Error("text was copied to a message")
	}
	if err := (wire.Cloner{}).Copy(new(string), &hostservicev1.Entry{}); err == nil {
		t.Error("a message was copied to text")
	}
	if _, err := (wire.Cloner{}).Clone("text"); err == nil {
		t.Error("text was cloned")
	}
}

// A copy shares nothing with its original: the two halves of an in-process call run at once.
func TestClonerCopies(t *testing.T) {
	t.Parallel()
	in := &hostservicev1.Entry{Key: "k", Value: []byte("value")}
	out := &hostservicev1.Entry{Version: 5}
	if err := (wire.Cloner{}).Copy(out, in); err != nil {
		t.Fatal(err)
	}
	clone, err := wire.Cloner{}.Clone(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Value[0] = 'X'
	for _, m := range []proto.Message{out, clone.(proto.Message)} {
		if !proto.Equal(m, &hostservicev1.Entry{Key: "k", Value: []byte("value")}) {
			t.Errorf("the copy is %v", m)
		}
	}
}
