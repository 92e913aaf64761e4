package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// contract is what the options of a request say.
type contract struct {
	services map[string]*service
	options  *dynamicpb.Types
}

type kind int

const (
	kindNone kind = iota
	kindPlugin
	kindObject
	kindHostService
)

// service is a service of the contract.
type service struct {
	proto *protogen.Service
	file  *protogen.File
	kind  kind
	// Of a plugin.
	pluginKind, cookie string
	version            uint64
	constructors       map[*protogen.Method]*constructor
}

// name is the service's Go name without its suffix: MedianService is Median.
func (s *service) name() string { return strings.TrimSuffix(s.proto.GoName, "Service") }

// constructor is a method whose request creates an object.
type constructor struct {
	method *protogen.Method
	// object is the Go name of what is created: what follows Create in the method's name.
	object  string
	name    *protogen.Field
	creates []*service
	loans   []*loan
}

// loan is a field of a constructor's request that lends an object.
type loan struct {
	field    *protogen.Field
	services []*service
}

func read(p *protogen.Plugin) (*contract, error) {
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: p.Request.GetProtoFile()})
	if err != nil {
		return nil, fmt.Errorf("reading the descriptors: %w", err)
	}
	c := &contract{services: map[string]*service{}, options: dynamicpb.NewTypes(files)}
	for _, f := range p.Files {
		for _, ps := range f.Services {
			s := &service{proto: ps, file: f, constructors: map[*protogen.Method]*constructor{}}
			if err := c.classify(s); err != nil {
				return nil, err
			}
			c.services[string(ps.Desc.FullName())] = s
		}
	}
	for _, s := range c.services {
		for _, m := range s.proto.Methods {
			if err := c.construct(s, m); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// option returns one of the contract's options of d, or nil. The options are read anew with the request's own
// extensions, which this binary does not link.
func (c *contract) option(d protoreflect.Descriptor, name protoreflect.Name) (protoreflect.Message, error) {
	x, err := c.options.FindExtensionByName("loop.plugin.v1." + protoreflect.FullName(name))
	if err != nil {
		return nil, nil // a request without the contract's options uses none
	}
	raw, err := proto.Marshal(d.Options())
	if err != nil {
		return nil, err
	}
	again := d.Options().ProtoReflect().New()
	if err := (proto.UnmarshalOptions{Resolver: c.options}).Unmarshal(raw, again.Interface()); err != nil {
		return nil, err
	}
	if !again.Has(x.TypeDescriptor()) {
		return nil, nil
	}
	return again.Get(x.TypeDescriptor()).Message(), nil
}

func (c *contract) classify(s *service) error {
	for name, k := range map[protoreflect.Name]kind{"plugin": kindPlugin, "object": kindObject,
		"host_service": kindHostService} {
		o, err := c.option(s.proto.Desc, name)
		if err != nil {
			return err
		}
		if o == nil {
			continue
		}
		if s.kind != kindNone {
			return fmt.Errorf("%s: a service is one of plugin, object and host_service", s.proto.Desc.FullName())
		}
		s.kind = k
		if k == kindPlugin {
			fields := o.Descriptor().Fields()
			s.pluginKind = o.Get(fields.ByName("kind")).String()
			s.cookie = o.Get(fields.ByName("magic_cookie")).String()
			s.version = o.Get(fields.ByName("protocol_version")).Uint()
		}
	}
	return nil
}

// served returns the services that an option of a field lists.
func (c *contract) served(f *protogen.Field, name protoreflect.Name) ([]*service, error) {
	o, err := c.option(f.Desc, name)
	if o == nil || err != nil {
		return nil, err
	}
	if f.Desc.Kind() != protoreflect.StringKind || f.Desc.IsList() || f.Desc.IsMap() {
		return nil, fmt.Errorf("%s: a name of an object is a single string", f.Desc.FullName())
	}
	var all []*service
	list := o.Get(o.Descriptor().Fields().ByName("services")).List()
	for i := range list.Len() {
		s := c.services[list.Get(i).String()]
		if s == nil {
			return nil, fmt.Errorf("%s: there is no service %s", f.Desc.FullName(), list.Get(i).String())
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: %s lists no services", f.Desc.FullName(), name)
	}
	return all, nil
}

func (c *contract) construct(s *service, m *protogen.Method) error {
	made := &constructor{method: m, object: strings.TrimPrefix(m.GoName, "Create")}
	for _, f := range m.Input.Fields {
		creates, err := c.served(f, "creates")
		if err != nil {
			return err
		}
		if creates != nil {
			if made.name != nil {
				return fmt.Errorf("%s: a constructor creates one object", m.Desc.FullName())
			}
			made.name, made.creates = f, creates
		}
		lends, err := c.served(f, "lends")
		if err != nil {
			return err
		}
		if lends != nil {
			made.loans = append(made.loans, &loan{field: f, services: lends})
		}
	}
	if made.name == nil {
		return nil
	}
	if made.object == m.GoName || made.object == "" {
		return fmt.Errorf("%s: a constructor is called Create and what it creates", m.Desc.FullName())
	}
	if s.kind != kindPlugin && s.kind != kindObject {
		return fmt.Errorf("%s: plugins and objects alone have constructors", m.Desc.FullName())
	}
	s.constructors[m] = made
	return nil
}

// reachable lists the services of every object that a service can make, itself excluded, in the order of their names.
func (s *service) reachable() []*service {
	seen := map[*service]bool{}
	var walk func(*service)
	walk = func(s *service) {
		for _, c := range s.constructors {
			for _, o := range c.creates {
				if !seen[o] {
					seen[o] = true
					walk(o)
				}
			}
		}
	}
	walk(s)
	var all []*service
	for o := range seen {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *service) int {
		return strings.Compare(string(a.proto.Desc.FullName()), string(b.proto.Desc.FullName()))
	})
	return all
}
