package wire_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1" // links the contract, as the next ones do
	_ "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transports are the ways in which host and plugins are connected.
func transports() map[string]func(testing.TB, func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	return map[string]func(testing.TB, func(grpc.ServiceRegistrar)) grpc.ClientConnInterface{
		"process": overSocket, "frames": overFrames, "in-process": inProcess,
	}
}

// connections are one of each transport.
func connections(t testing.TB, register func(grpc.ServiceRegistrar)) map[string]grpc.ClientConnInterface {
	all := map[string]grpc.ClientConnInterface{}
	for name, connect := range transports() {
		all[name] = connect(t, register)
	}
	return all
}

// inProcess serves what register registers on a channel of this process.
func inProcess(_ testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	c := inprocess.New()
	register(c)
	return c
}

// overSocket serves what register registers on a unix socket with mutual TLS.
func overSocket(t testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	t.Helper()
	serverTLS, clientTLS := mutual(t)
	address := listen(t, register, grpc.Creds(credentials.NewTLS(serverTLS)))
	return dial(t, address, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)))
}

// overFrames serves the same on the same socket as frames, and streams over gRPC.
func overFrames(t testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	t.Helper()
	serverTLS, clientTLS := mutual(t)
	framed := frames.NewServer(slog.New(slog.DiscardHandler))
	t.Cleanup(framed.Stop)
	address := listen(t, func(r grpc.ServiceRegistrar) {
		register(framed.Beside(r))
	}, grpc.Creds(frames.Credentials(serverTLS, framed)))
	conn := dial(t, address, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)))
	channel := frames.Over(conn, address, clientTLS)
	t.Cleanup(func() { _ = channel.Close() })
	if err := channel.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return channel
}

func mutual(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	serves, calls := keyPair(t), keyPair(t)
	server, err := wire.ServerTLS(serves.TLS, calls.CertificatePEM)
	if err != nil {
		t.Fatal(err)
	}
	if client, err = wire.ClientTLS(calls.TLS, serves.CertificatePEM); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func keyPair(t testing.TB) *wire.KeyPair {
	t.Helper()
	p, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listen(t testing.TB, register func(grpc.ServiceRegistrar), options ...grpc.ServerOption) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "wire") // a test's own folder has a longer name than a socket may have
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(options, grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))...)
	register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return "unix:" + socket
}

func dial(t testing.TB, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(options, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec()),
		grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// seam registers services through a dispatcher that resolves everything to one target.
func seam(target wire.Target, services ...*grpc.ServiceDesc) func(grpc.ServiceRegistrar) {
	return func(r grpc.ServiceRegistrar) { dispatcher(target).registerAll(r, services...) }
}

type testDispatcher struct{ *wire.Dispatcher }

func (d testDispatcher) registerAll(r grpc.ServiceRegistrar, services ...*grpc.ServiceDesc) {
	for _, s := range services {
		d.Register(r, s)
	}
}

func dispatcher(target wire.Target) testDispatcher {
	return testDispatcher{
		wire.NewDispatcher(wire.DispatcherSettings{Resolver: always(target), Logger: slog.New(slog.DiscardHandler)})}
}

// always resolves to one target.
type always wire.Target

// Resolve implements wire.Resolver.
func (a always) Resolve(string, string) (wire.Target, error) { return wire.Target(a), nil }

// fake stands for an implementation of every service of the contract: it is built from the descriptors and answers each
// method with what answer returns.
type fake struct {
	calls  atomic.Int64
	answer func(ctx context.Context, m protoreflect.MethodDescriptor, request proto.Message) (any, error)
}

// contractServices are the services between host and plugins.
func contractServices() []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for _, kind := range []protoreflect.ExtensionType{pluginv1.E_Plugin, pluginv1.E_Object, pluginv1.E_HostService} {
				if proto.HasExtension(s.Options(), kind) {
					all = append(all, s)
				}
			}
		}
		return true
	})
	return all
}

func contractMethods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, s := range contractServices() {
		for i := range s.Methods().Len() {
			all = append(all, s.Methods().Get(i))
		}
	}
	return all
}

// contractMessages are the requests, the answers and what stands in them.
func contractMessages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, m := range contractMethods() {
		all = append(all, m.Input(), m.Output())
	}
	seen := map[protoreflect.FullName]bool{}
	for i := 0; i < len(all); i++ { // all grows with what its messages hold
		for k := range all[i].Fields().Len() {
			d := all[i].Fields().Get(k).Message()
			if d != nil && strings.HasPrefix(string(d.FullName()), "loop.") && !seen[d.FullName()] {
				seen[d.FullName()] = true
				all = append(all, d)
			}
		}
	}
	return all
}

func fullMethod(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// descs are the services of the contract as gRPC's generated code would register them, served by f.
func (f *fake) descs() []*grpc.ServiceDesc {
	var all []*grpc.ServiceDesc
	for _, s := range contractServices() {
		d := &grpc.ServiceDesc{ServiceName: string(s.FullName()), HandlerType: (*any)(nil)}
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			if !m.IsStreamingServer() {
				d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: string(m.Name()),
					Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
						request := breakage.New(m.Input())
						if err := dec(request); err != nil {
							return nil, err
						}
						f.calls.Add(1)
						return f.answer(ctx, m, request)
					}})
				continue
			}
			d.Streams = append(d.Streams, grpc.StreamDesc{StreamName: string(m.Name()), ServerStreams: true,
				Handler: func(_ any, stream grpc.ServerStream) error {
					request := breakage.New(m.Input())
					if err := stream.RecvMsg(request); err != nil {
						return err
					}
					f.calls.Add(1)
					answer, err := f.answer(stream.Context(), m, request)
					if err != nil {
						return err
					}
					return stream.SendMsg(answer)
				}})
		}
		all = append(all, d)
	}
	return all
}

func (f *fake) raw(r grpc.ServiceRegistrar) {
	for _, d := range f.descs() {
		r.RegisterService(d, f)
	}
}

func (f *fake) seam(r grpc.ServiceRegistrar) { seam(wire.Target{Impl: f}, f.descs()...)(r) }

// patient is a test's context for calls whose time is not what is tested: most methods' own timeouts are a few seconds.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// call makes a call of any method and takes the first message of a stream.
func call(ctx context.Context, cc grpc.ClientConnInterface, m protoreflect.MethodDescriptor, request, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if !m.IsStreamingServer() {
		return cc.Invoke(ctx, fullMethod(m), request, reply)
	}
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{StreamName: string(m.Name()), ServerStreams: true}, fullMethod(m))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(reply)
}
