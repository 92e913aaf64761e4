package loophost

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Lendable is an object that can be lent to a plugin: an Export of the host or an Object of another plugin.
type Lendable interface {
	// Name is the name by which the borrower calls it.
	Name() string
	serves(service string) bool
	target() wire.Target
	// ready is the gate of a lent object; nil: always open.
	ready() *gate
}

// Export is an object of the host.
type Export struct {
	name string
	desc *grpc.ServiceDesc
	impl any
}

// Export makes impl an object of the host that can be lent to plugins. Generated code calls it with matching types.
func (r *Runtime) Export(desc *grpc.ServiceDesc, impl any) *Export {
	return &Export{name: NewName(short(desc.ServiceName)), desc: desc, impl: impl}
}

// Name implements Lendable.
func (e *Export) Name() string { return e.name }

func (e *Export) serves(service string) bool { return e.desc.ServiceName == service }
func (e *Export) target() wire.Target        { return wire.Target{Impl: e} }
func (*Export) ready() *gate                 { return nil }

// lent is what is lent to a plugin under one name: for which services, and for how many of its objects each.
type lent struct {
	what     Lendable
	services map[string]int
}

// lendLocked puts a loan in force.
func (p *Plugin) lendLocked(loan Loan) {
	l := p.lent[loan.Lent.Name()]
	if l == nil {
		l = &lent{what: loan.Lent, services: map[string]int{}}
		p.lent[loan.Lent.Name()] = l
	}
	for _, s := range loan.Services {
		l.services[s]++
	}
}

// takeBackLocked ends one object's loan.
func (p *Plugin) takeBackLocked(loan Loan) {
	l := p.lent[loan.Lent.Name()]
	if l == nil {
		return
	}
	for _, s := range loan.Services {
		if l.services[s]--; l.services[s] == 0 {
			delete(l.services, s)
		}
	}
	if len(l.services) == 0 {
		delete(p.lent, loan.Lent.Name())
	}
}

// loans resolves the calls of one plugin's processes back into the host: what is not lent to that plugin is NOT_FOUND.
type loans struct{ plugin *Plugin }

// Resolve implements wire.Resolver.
func (r loans) Resolve(service, object string) (wire.Target, error) {
	r.plugin.mu.Lock()
	defer r.plugin.mu.Unlock()
	switch l := r.plugin.lent[object]; {
	case l == nil:
		return wire.Target{}, status.Errorf(codes.NotFound, "no object %q is lent to plugin %s", object, r.plugin.name)
	case l.services[service] == 0:
		return wire.Target{}, status.Errorf(codes.NotFound, "object %s is not lent to plugin %s for %s", object,
			r.plugin.name, service)
	default:
		return l.what.target(), nil
	}
}

// exported is the descriptor by which the host serves a service to plugins: each call finds its handler on the export
// that it resolved to. Calls on other plugins' objects are forwarded before they reach a handler.
func exported(s protoreflect.ServiceDescriptor) *grpc.ServiceDesc {
	d := &grpc.ServiceDesc{ServiceName: string(s.FullName())}
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		name := string(m.Name())
		if m.IsStreamingClient() || m.IsStreamingServer() {
			d.Streams = append(d.Streams,
				grpc.StreamDesc{StreamName: name, ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
					Handler: func(impl any, stream grpc.ServerStream) error {
						e := impl.(*Export)
						for _, s := range e.desc.Streams {
							if s.StreamName == name {
								return s.Handler(e.impl, stream)
							}
						}
						return status.Errorf(codes.Unimplemented, "the host does not serve %s", m.FullName())
					}})
			continue
		}
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: name,
			Handler: func(impl any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				e := impl.(*Export)
				for _, m := range e.desc.Methods {
					if m.MethodName == name {
						return m.Handler(e.impl, ctx, dec, nil)
					}
				}
				return nil, status.Errorf(codes.Unimplemented, "the host does not serve %s", m.FullName())
			}})
	}
	return d
}
