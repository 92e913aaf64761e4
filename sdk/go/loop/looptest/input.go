package looptest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// methodsOf are the methods that a plugin of a kind serves, beside health.
func methodsOf(kind string) []protoreflect.MethodDescriptor {
	names := []protoreflect.FullName{"loop.plugin.v1.LifecycleService"}
	names = append(names, map[string]protoreflect.FullName{
		"median": "loop.median.v1.MedianService", "product": "loop.product.v1.ProductService",
		"relayer": "loop.relayer.v1.RelayerService",
	}[kind])
	var all []protoreflect.MethodDescriptor
	for i := 0; i < len(names); i++ { // names grows with what is created
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(names[i])
		if err != nil {
			panic(err) // this package links the contract
		}
		s := d.(protoreflect.ServiceDescriptor)
		for k := range s.Methods().Len() {
			m := s.Methods().Get(k)
			all = append(all, m)
			for _, made := range created(m) {
				if !slices.Contains(names, made) {
					names = append(names, made)
				}
			}
		}
	}
	return all
}

// optional are the methods that a plugin may leave out.
var optional = []string{relayerv1.ChainService_ReadContract_FullMethodName}

// created are the services of the object that a constructor makes.
func created(m protoreflect.MethodDescriptor) []protoreflect.FullName {
	var all []protoreflect.FullName
	for i := range m.Input().Fields().Len() {
		c, _ := proto.GetExtension(m.Input().Fields().Get(i).Options(), pluginv1.E_Creates).(*pluginv1.Creates)
		for _, s := range c.GetServices() {
			all = append(all, protoreflect.FullName(s))
		}
	}
	return all
}

func fullName(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

func isLifecycle(m protoreflect.MethodDescriptor) bool {
	return m.Parent().FullName() == "loop.plugin.v1.LifecycleService"
}

func validRequest(m protoreflect.MethodDescriptor) proto.Message { return breakage.Valid(m.Input()) }

// invoke calls any method with the request unchanged, and receives the first message of a stream. It does not look at
// answers.
func (l *generation) invoke(ctx context.Context, object, method string, request any,
	options ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, l.bench.hang())
	defer cancel()
	if object != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, wire.ObjectKey, object)
	}
	if m, ok := wire.MethodOf(method); !ok || !m.ServerStreams {
		return l.Conn.Invoke(ctx, method, request, &wire.Frame{}, options...)
	}
	stream, err := l.Conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, options...)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(&wire.Frame{})
}

// inputCases are one case for each method.
func inputCases(kind string) []check {
	var all []check
	for _, m := range methodsOf(kind) {
		all = append(all, check{
			name: "input/" + short(fullName(m)),
			about: "every request that breaks one rule of a field is INVALID_ARGUMENT naming the field, bytes that do not " +
				"decode are refused, and the plugin goes on",
			run: func(ctx context.Context, b *bench) error { return badInput(ctx, b, m) },
		})
	}
	return all
}

func badInput(ctx context.Context, b *bench, m protoreflect.MethodDescriptor) error {
	var l *generation
	var err error
	if m.FullName() == "loop.plugin.v1.LifecycleService.Init" {
		l, err = b.start(ctx, b.newWorld(), b.subjectSettings())
	} else {
		l, err = b.plugin(ctx)
	}
	if err != nil {
		return err
	}
	object := ""
	if described, ok := wire.MethodOf(fullName(m)); ok && !described.OnPlugin {
		if object, err = l.objectOf(ctx, string(m.Parent().FullName())); err != nil {
			return err
		}
	}
	garbage := &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")}}
	if !m.IsStreamingServer() || l.Process != nil { // in one process nothing is decoded twice
		err := l.invoke(ctx, object, fullName(m), garbage)
		if slices.Contains(optional, fullName(m)) && status.Code(err) == codes.Unimplemented {
			return skip{"the plugin leaves out " + short(fullName(m)) + ", which it may"}
		}
		if err := want("bytes that do not decode", err, codes.InvalidArgument, codes.Internal); err != nil {
			return err
		}
	}
	request := validRequest(m)
	for _, breaking := range breakage.Of(request) {
		if breaking.Unsendable {
			continue
		}
		bad := proto.Clone(request)
		l.rename(bad)
		breaking.Apply(bad.ProtoReflect())
		what := fmt.Sprintf("a request whose field %s is %s", breaking.Field, breaking.How)
		err := l.invoke(ctx, object, fullName(m), bad)
		if err := want(what, err, codes.InvalidArgument); err != nil {
			return err
		}
		s := status.Convert(err)
		if !strings.Contains(s.Message(), breaking.Field) {
			return fmt.Errorf("%s is refused as %q; want the field's path in the text", what, cut(s.Message()))
		}
		if got := violations(s); !slices.Equal(got, []string{breaking.Field}) {
			return fmt.Errorf("%s is refused with the google.rpc.BadRequest of fields %q; want %q", what, got, breaking.Field)
		}
	}
	if m.FullName() == "loop.plugin.v1.LifecycleService.Init" {
		if err := l.initialise(ctx); err != nil {
			return fmt.Errorf("after bad input: %w", err)
		}
	}
	return l.alive(ctx, "bad input")
}

// rename gives a constructor's request a name of its own: one that was refused may not make the next one
// ALREADY_EXISTS.
func (l *generation) rename(request proto.Message) {
	r := request.ProtoReflect()
	for i := range r.Descriptor().Fields().Len() {
		f := r.Descriptor().Fields().Get(i)
		if proto.HasExtension(f.Options(), pluginv1.E_Creates) {
			r.Set(f, protoreflect.ValueOfString(loan.Name("Conformance")))
		}
	}
}

func violations(s *status.Status) []string {
	var fields []string
	for _, d := range s.Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range b.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	return fields
}

// objectOf makes an object that serves a service.
func (l *generation) objectOf(ctx context.Context, service string) (string, error) {
	parent, child, err := l.pair(ctx)
	if err != nil {
		return "", err
	}
	switch service {
	case "loop.relayer.v1.ChainService", "loop.reporting.v1.ReportingPluginFactoryService",
		"loop.reporting.v1.Ocr3PluginFactoryService":
		return parent, nil
	case "loop.reporting.v1.ReportingPluginService", "loop.reporting.v1.Ocr3PluginService":
		if (service == "loop.reporting.v1.Ocr3PluginService") != l.bench.ocr3() {
			return "", skip{"the product is judged on the other version of OCR"}
		}
	}
	return child, nil
}
