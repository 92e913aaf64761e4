package wire

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
)

// Kind describes a kind of plugin. The generator emits one for each root service.
type Kind struct {
	// Name is the kind, such as "median".
	Name string
	// ProtocolVersion is go-plugin's application protocol version.
	ProtocolVersion int
	// Cookie is the value of CookieKey in a plugin's environment.
	Cookie string
}

// Method is what the contract says about a method.
type Method struct {
	// FullName is /package.Service/Method.
	FullName string
	// Service is the full name of its service.
	Service string
	// Timeout is the deadline of a call whose caller set none; 0 means none.
	Timeout time.Duration
	// Retryable reports whether a call may be repeated when its outcome is unknown.
	Retryable bool
	// OnPlugin reports whether the method belongs to the plugin itself and not to one of its objects.
	OnPlugin bool
	// Streams.
	ClientStreams, ServerStreams bool
}

var methods Cache[string, *Method]

// MethodOf looks a method up in the linked descriptors. The second result is false if no linked contract has the
// method.
func MethodOf(fullName string) (*Method, bool) {
	if m, ok := methods.Get(fullName); ok {
		return m, true
	}
	service, name, ok := strings.Cut(strings.TrimPrefix(fullName, "/"), "/")
	if !ok {
		return nil, false
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, false
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, false
	}
	md := sd.Methods().ByName(protoreflect.Name(name))
	if md == nil {
		return nil, false
	}
	m := describe(md)
	methods.Put(fullName, m)
	return m, true
}

func describe(md protoreflect.MethodDescriptor) *Method {
	sd := md.Parent().(protoreflect.ServiceDescriptor)
	m := &Method{
		FullName:      "/" + string(sd.FullName()) + "/" + string(md.Name()),
		Service:       string(sd.FullName()),
		OnPlugin:      proto.HasExtension(sd.Options(), pluginv1.E_Plugin),
		ClientStreams: md.IsStreamingClient(),
		ServerStreams: md.IsStreamingServer(),
	}
	if o, _ := proto.GetExtension(md.Options(), pluginv1.E_Method).(*pluginv1.Method); o != nil {
		m.Timeout = o.GetTimeout().AsDuration()
	}
	if o, _ := md.Options().(*descriptorpb.MethodOptions); o != nil {
		m.Retryable = o.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	}
	return m
}

// ObjectServices returns the descriptors of every linked service of objects, of plugins and of the host.
func ObjectServices() []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			if proto.HasExtension(s.Options(), pluginv1.E_Object) || proto.HasExtension(s.Options(), pluginv1.E_HostService) {
				all = append(all, s)
			}
		}
		return true
	})
	return all
}
