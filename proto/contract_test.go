// Package proto_test holds the contract to the rules that neither protoc nor buf knows: which options stand where, and
// that none disappears. It reads the compiled descriptors, the same that generators and the runtimes of other languages
// read, and must not know any code that serves them.
package proto_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	_ "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1" // links the descriptors, as the next ones do
	_ "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
)

// operatorServices are of no kind, each for its reason.
var operatorServices = map[protoreflect.FullName]string{
	"loop.node.v1.NodeService": "operators call it over Connect: no plugin serves or sees it",
}

// lentOutsideConstructors are fields that lend without a constructor, each for its reason.
var lentOutsideConstructors = map[protoreflect.FullName]string{
	"loop.plugin.v1.InitRequest.telemetry": "telemetry is lent to the process itself, which Init makes",
}

const (
	bigInt    = "loop.plugin.v1.BigInt"
	duration  = "google.protobuf.Duration"
	timestamp = "google.protobuf.Timestamp"
)

// longestName bounds the names of objects, in bytes. Hosts give shorter ones.
const longestName = 256

// largest bounds fields by their names: OCR2 counts rounds and oracles in 8 bits, and has no oracle 255.
var largest = map[protoreflect.Name]uint64{"round": 255, "observer": 254, "signer": 254, "oracle_id": 254}

// timeWords are what a field of a bare integer would be called that is a duration or a time.
var timeWords = regexp.MustCompile(
	`(^|_)(seconds?|secs?|millis|milliseconds?|ms|micros|nanos|nanoseconds?|ns|minutes?|hours?|duration|interval|timeout|time|timestamp|deadline|expires|expiry|age|grace|lookback|at)$`)

// contract is a set of descriptors with what the rules ask of them.
type contract struct {
	services []protoreflect.ServiceDescriptor
	messages []protoreflect.MessageDescriptor
	enums    []protoreflect.EnumDescriptor
	resolve  func(protoreflect.FullName) (protoreflect.Descriptor, error)
	findings []string
}

// files are what contracts are read from.
type files interface {
	RangeFiles(func(protoreflect.FileDescriptor) bool)
	FindDescriptorByName(protoreflect.FullName) (protoreflect.Descriptor, error)
}

func read(f files) *contract {
	c := &contract{resolve: f.FindDescriptorByName}
	f.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "loop.") {
			return true
		}
		for i := range f.Services().Len() {
			c.services = append(c.services, f.Services().Get(i))
		}
		c.nested(f)
		return true
	})
	slices.SortFunc(c.services, byName)
	slices.SortFunc(c.messages, byName)
	return c
}

func (c *contract) nested(in interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
}) {
	for i := range in.Enums().Len() {
		c.enums = append(c.enums, in.Enums().Get(i))
	}
	for i := range in.Messages().Len() {
		c.messages = append(c.messages, in.Messages().Get(i))
		c.nested(in.Messages().Get(i))
	}
}

func byName[D protoreflect.Descriptor](a, b D) int {
	return strings.Compare(string(a.FullName()), string(b.FullName()))
}

func (c *contract) finding(d protoreflect.Descriptor, format string, args ...any) {
	c.findings = append(c.findings, string(d.FullName())+" "+fmt.Sprintf(format, args...))
}

func has(d protoreflect.Descriptor, extension protoreflect.ExtensionType) bool {
	return proto.HasExtension(d.Options(), extension)
}

func rulesOf(f protoreflect.FieldDescriptor) *pluginv1.Rules {
	r, _ := proto.GetExtension(f.Options(), pluginv1.E_Rules).(*pluginv1.Rules)
	return r
}

func isPlugin(s protoreflect.ServiceDescriptor) bool { return has(s, pluginv1.E_Plugin) }
func isObject(s protoreflect.ServiceDescriptor) bool { return has(s, pluginv1.E_Object) }
func isHost(s protoreflect.ServiceDescriptor) bool   { return has(s, pluginv1.E_HostService) }

// creates is the field of a constructor's request that names the new object, or nil.
func creates(m protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for i := range m.Fields().Len() {
		if f := m.Fields().Get(i); has(f, pluginv1.E_Creates) {
			return f
		}
	}
	return nil
}

// reachable calls visit for every field of a message and of the messages in it.
func reachable(m protoreflect.MessageDescriptor, visit func(protoreflect.FieldDescriptor)) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			visit(f)
			if f.Message() != nil {
				walk(f.Message())
			}
		}
	}
	walk(m)
}

// lint returns what breaks a rule of the contract, one sentence each.
func (c *contract) lint() []string {
	constructed := map[protoreflect.FullName]bool{}   // requests of constructors
	pluginsOwn := map[protoreflect.FullName]bool{}    // messages that stand in plugin services themselves
	inContract := map[protoreflect.FullName]bool{}    // fields that cross the boundary between host and plugins
	var contractFields []protoreflect.FieldDescriptor // the same, in order
	for _, s := range c.services {
		kinds := 0
		for _, is := range []bool{isPlugin(s), isObject(s), isHost(s)} {
			if is {
				kinds++
			}
		}
		if _, operators := operatorServices[s.FullName()]; operators {
			if kinds != 0 {
				c.finding(s, "is listed as a service of no kind and has one")
			}
			continue
		}
		if kinds != 1 {
			c.finding(s, "is of %d kinds; a service is one of plugin, object and host_service", kinds)
		}
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			c.lintMethod(s, m)
			if creates(m.Input()) != nil {
				constructed[m.Input().FullName()] = true
			}
			for _, message := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
				if isPlugin(s) {
					pluginsOwn[message.FullName()] = true
				}
				reachable(message, func(f protoreflect.FieldDescriptor) {
					if !inContract[f.FullName()] {
						inContract[f.FullName()] = true
						contractFields = append(contractFields, f)
					}
				})
			}
		}
	}
	for _, m := range c.messages {
		for i := range m.Fields().Len() {
			c.lintNames(m.Fields().Get(i), constructed, pluginsOwn)
			c.lintShape(m.Fields().Get(i))
		}
	}
	for _, f := range contractFields {
		c.lintRules(f)
	}
	for _, e := range c.enums {
		if zero := e.Values().ByNumber(0); zero == nil || !strings.HasSuffix(string(zero.Name()), "_UNSPECIFIED") {
			c.finding(e, "has no value 0 whose name ends in _UNSPECIFIED: what nobody set would mean something")
		}
	}
	return c.findings
}

func (c *contract) lintMethod(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) {
	o, _ := proto.GetExtension(m.Options(), pluginv1.E_Method).(*pluginv1.Method)
	streams := m.IsStreamingClient() || m.IsStreamingServer()
	switch {
	case o == nil:
		c.finding(m, "has no option (method)")
	case streams && o.GetTimeout() != nil:
		c.finding(m, "streams and states a timeout; streams live until either side ends them")
	case !streams && o.GetTimeout().AsDuration() <= 0:
		c.finding(m, "states no timeout")
	}
	level := descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
	if o, ok := m.Options().(*descriptorpb.MethodOptions); ok {
		level = o.GetIdempotencyLevel()
	}
	constructor := creates(m.Input()) != nil
	switch named := strings.HasPrefix(string(m.Name()), "Create"); {
	case constructor && !named:
		c.finding(m, "makes an object and is not called Create…")
	case !constructor && named:
		c.finding(m, "is called Create… and makes no object: its request has no field with (creates)")
	}
	if !constructor {
		if isPlugin(s) {
			return
		}
		// The host forwards such calls from one plugin to another without decoding them.
		for _, message := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
			reachable(message, func(f protoreflect.FieldDescriptor) {
				if has(f, pluginv1.E_Creates) || has(f, pluginv1.E_Lends) || has(f, pluginv1.E_Names) {
					c.finding(m, "may be forwarded, and %s names an object", f.FullName())
				}
			})
		}
		return
	}
	if level != descriptorpb.MethodOptions_IDEMPOTENT {
		c.finding(m, "makes an object and is not IDEMPOTENT: after a lost reply the host could not call it again")
	}
	if streams {
		c.finding(m, "makes an object and streams")
	}
	if isHost(s) {
		c.finding(m, "makes an object and stands in a host service; only the host calls constructors")
	}
}

// lintNames holds the fields that name objects to where they may stand.
func (c *contract) lintNames(f protoreflect.FieldDescriptor, constructed, pluginsOwn map[protoreflect.FullName]bool) {
	parent := f.ContainingMessage().FullName()
	_, excepted := lentOutsideConstructors[f.FullName()]
	single := f.Kind() == protoreflect.StringKind && f.Cardinality() != protoreflect.Repeated
	if has(f, pluginv1.E_Creates) {
		o := proto.GetExtension(f.Options(), pluginv1.E_Creates).(*pluginv1.Creates)
		if !single {
			c.finding(f, "creates an object and is not a single string")
		}
		if !constructed[parent] {
			c.finding(f, "creates an object and does not stand in the request of a method")
		}
		if first := creates(f.ContainingMessage()); first != f {
			c.finding(f, "creates an object, as %s does; a constructor makes one", first.Name())
		}
		c.lintServices(f, o.GetServices(), isObject)
	}
	if has(f, pluginv1.E_Lends) {
		o := proto.GetExtension(f.Options(), pluginv1.E_Lends).(*pluginv1.Lends)
		if !single {
			c.finding(f, "lends an object and is not a single string")
		}
		if !constructed[parent] && !excepted {
			c.finding(f, "lends an object and does not stand in the request of a constructor")
		}
		c.lintServices(f, o.GetServices(), func(s protoreflect.ServiceDescriptor) bool { return isObject(s) || isHost(s) })
	} else if excepted {
		c.finding(f, "is listed as lending outside of constructors and lends nothing")
	}
	if has(f, pluginv1.E_Names) {
		if f.Kind() != protoreflect.StringKind {
			c.finding(f, "names objects and is not a string")
		}
		if !pluginsOwn[parent] {
			c.finding(f, "names objects and does not stand in a message of a plugin service: others may be forwarded undecoded")
		}
	}
}

func (c *contract) lintServices(f protoreflect.FieldDescriptor, names []string,
	kind func(protoreflect.ServiceDescriptor) bool) {
	if len(names) == 0 {
		c.finding(f, "names an object of no service")
	}
	for _, n := range names {
		d, err := c.resolve(protoreflect.FullName(n))
		if s, ok := d.(protoreflect.ServiceDescriptor); err != nil || !ok || !kind(s) {
			c.finding(f, "names an object of %s, which is not a service of such objects", n)
		}
	}
}

// lintShape holds for every message, the operator's API included.
func (c *contract) lintShape(f protoreflect.FieldDescriptor) {
	if i := f.Index(); i > 0 && f.ContainingMessage().Fields().Get(i-1).Number() > f.Number() {
		c.finding(f, "stands after a field of a higher number, and violations are reported in the order of numbers")
	}
	if f.IsMap() {
		c.finding(f, "is a map; a map has no order, and so no stable bytes")
	}
	switch f.Kind() {
	case protoreflect.BytesKind, protoreflect.StringKind, protoreflect.MessageKind, protoreflect.EnumKind,
		protoreflect.BoolKind, protoreflect.GroupKind:
	default:
		if f.ContainingMessage().ParentFile().Package() != "loop.node.v1" && timeWords.MatchString(string(f.Name())) {
			c.finding(f, "is a bare number for a time; durations and times are google.protobuf.Duration and Timestamp")
		}
	}
}

// lintRules holds the fields that cross the boundary to bounds, and the bounds to fields of which they can be checked.
func (c *contract) lintRules(f protoreflect.FieldDescriptor) {
	if strings.HasPrefix(string(f.FullName()), "google.") {
		return
	}
	r := rulesOf(f)
	if f.ContainingOneof() != nil && r != nil {
		c.finding(f, "has (rules) and stands in a oneof or is optional: rules speak of fields that are always there")
	}
	message := protoreflect.FullName("")
	if f.Message() != nil {
		message = f.Message().FullName()
	}
	needed := f.ContainingMessage().Fields().ByName(protoreflect.Name(r.GetNeeds()))
	timed := message == duration || message == timestamp
	unsigned := f.Kind() == protoreflect.Uint32Kind || f.Kind() == protoreflect.Uint64Kind
	length := f.Kind() == protoreflect.BytesKind || f.Kind() == protoreflect.StringKind || f.IsList()
	if f.Kind() == protoreflect.BytesKind && strings.Contains(string(f.Name()), "digest") && r.GetLen() != 32 {
		c.finding(f, "is a digest without (rules).len: 32")
	}
	if want, ok := largest[f.Name()]; ok && unsigned && r.GetMax() != want {
		c.finding(f, "has no (rules).max: %d", want)
	}
	if has(f, pluginv1.E_Creates) && (!r.GetRequired() || r.GetMaxLen() != longestName) {
		c.finding(f, "creates an object without (rules).required and (rules).max_len: %d", longestName)
	}
	if has(f, pluginv1.E_Lends) && r.GetMaxLen() != longestName {
		c.finding(f, "lends an object without (rules).max_len: %d", longestName)
	}
	if message == bigInt && !f.IsList() && r.GetBits() == 0 {
		c.finding(f, "is a BigInt without (rules).bits")
	}
	for _, wrong := range []struct {
		rule string
		is   bool
	}{
		{"len", r.GetLen() > 0 && f.Kind() != protoreflect.BytesKind},
		{"max_len", r.GetMaxLen() > 0 && !length},
		{"max", r.GetMax() > 0 && !unsigned},
		{"min", r.GetMin() > 0 && !unsigned},
		{"bits", r.GetBits() > 0 && (message != bigInt || f.IsList())},
		{"non_negative", r.GetNonNegative() && (message != bigInt && !timed || f.IsList())},
		{"required", r.GetRequired() && !length && f.Message() == nil && f.Enum() == nil},
		{"shortest", r.GetShortest() && (f.Kind() != protoreflect.BytesKind || f.IsList())},
		{"needs", r.GetNeeds() != "" && (f.Message() != nil || f.IsList() || needed == nil || needed.Message() != nil)},
	} {
		if wrong.is {
			c.finding(f, "has (rules).%s, which nobody checks on a field of its type", wrong.rule)
		}
	}
}

func TestContractKeepsItsRules(t *testing.T) {
	t.Parallel()
	c := read(protoregistry.GlobalFiles)
	if len(c.services) < 10 || len(c.messages) < 50 {
		t.Fatalf("only %d services and %d messages are linked", len(c.services), len(c.messages))
	}
	for _, f := range c.lint() {
		t.Error(f)
	}
	for list, exceptions := range map[string]map[protoreflect.FullName]string{"operatorServices": operatorServices,
		"lentOutsideConstructors": lentOutsideConstructors} {
		for name := range exceptions {
			if _, err := c.resolve(name); err != nil {
				t.Errorf("%s lists %s, which is gone", list, name)
			}
		}
	}
}

// Compiled descriptors carry no comments: the files do, one line or more right above what they speak of.
func TestEverythingHasAComment(t *testing.T) {
	t.Parallel()
	declares := regexp.MustCompile(`^\s*(service|rpc|message|enum)\s+(\w+)`)
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".proto" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		above := ""
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			line := lines.Text()
			if m := declares.FindStringSubmatch(line); m != nil {
				seen++
				if comment, ok := strings.CutPrefix(strings.TrimSpace(above), "//"); !ok || strings.TrimSpace(comment) == "" {
					t.Errorf("%s:%d: %s %s has no comment: say who calls it or what it holds, and the errors of a method", path, n,
						m[1], m[2])
				}
			}
			above = line
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := read(protoregistry.GlobalFiles); seen < len(c.services)+len(c.messages) {
		t.Errorf("the files declare %d services, methods, messages and enums, and %d services and messages are linked", seen,
			len(c.services)+len(c.messages))
	}
}

// Each rule finds what it is for: the contract with one thing broken.
func TestRulesFind(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name    protoreflect.FullName // of what is broken
		breaks  func(proto.Message)   // its descriptor as a message
		finding string
	}{
		"service of no kind": {"loop.median.v1.ReportCodecService", func(m proto.Message) {
			m.(*descriptorpb.ServiceDescriptorProto).Options = nil
		}, "loop.median.v1.ReportCodecService is of 0 kinds"},
		"service of two kinds": {"loop.median.v1.ReportCodecService", func(m proto.Message) {
			proto.SetExtension(m.(*descriptorpb.ServiceDescriptorProto).Options, pluginv1.E_HostService, &pluginv1.HostService{})
		}, "is of 2 kinds"},
		"operator's service with a kind": {"loop.node.v1.NodeService", func(m proto.Message) {
			o := &descriptorpb.ServiceOptions{}
			proto.SetExtension(o, pluginv1.E_Object, &pluginv1.Object{})
			m.(*descriptorpb.ServiceDescriptorProto).Options = o
		}, "is listed as a service of no kind"},
		"method without options": {"loop.median.v1.ReportCodecService.BuildReport", func(m proto.Message) {
			m.(*descriptorpb.MethodDescriptorProto).Options = nil
		}, "BuildReport has no option (method)"},
		"method without a timeout": {"loop.median.v1.ReportCodecService.BuildReport", methodOption(&pluginv1.Method{}),
			"BuildReport states no timeout"},
		"stream with a timeout": {"loop.relayer.v1.RelayerService.WatchContractConfigs",
			methodOption(&pluginv1.Method{Timeout: durationpb.New(1)}),
			"streams and states a timeout"},
		"constructor that cannot be repeated": {"loop.median.v1.MedianService.CreateMedianFactory", func(m proto.Message) {
			m.(*descriptorpb.MethodDescriptorProto).Options.IdempotencyLevel = nil
		}, "is not IDEMPOTENT"},
		"constructor of another name": {"loop.median.v1.MedianService.CreateMedianFactory", func(m proto.Message) {
			m.(*descriptorpb.MethodDescriptorProto).Name = proto.String("MakeMedianFactory")
		}, "is not called Create…"},
		"Create… that creates nothing": {"loop.median.v1.ReportCodecService.BuildReport", func(m proto.Message) {
			m.(*descriptorpb.MethodDescriptorProto).Name = proto.String("CreateReport")
		}, "makes no object"},
		"constructor that streams": {"loop.median.v1.MedianService.CreateMedianFactory", func(m proto.Message) {
			m.(*descriptorpb.MethodDescriptorProto).ServerStreaming = proto.Bool(true)
		}, "makes an object and streams"},
		"list of new objects": {"loop.median.v1.CreateMedianFactoryRequest.name", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}, "creates an object and is not a single string"},
		"two new objects": {"loop.median.v1.CreateMedianFactoryRequest.provider",
			fieldOption(pluginv1.E_Creates, &pluginv1.Creates{Services: []string{"loop.median.v1.ReportCodecService"}}),
			"a constructor makes one"},
		"new object in a reply": {"loop.hostservice.v1.PutResponse.version", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
			fieldOption(pluginv1.E_Creates, &pluginv1.Creates{Services: []string{"loop.median.v1.ReportCodecService"}})(m)
		}, "PutResponse.version creates an object and does not stand in the request"},
		"loan outside of constructors": {"loop.hostservice.v1.ReadRequest.key",
			fieldOption(pluginv1.E_Lends, &pluginv1.Lends{Services: []string{"loop.hostservice.v1.StoreService"}}),
			"ReadRequest.key lends an object and does not stand in the request of a constructor"},
		"loan of bytes": {"loop.median.v1.CreateMedianFactoryRequest.provider", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		}, "lends an object and is not a single string"},
		"loan of an unknown service": {"loop.median.v1.CreateMedianFactoryRequest.provider",
			fieldOption(pluginv1.E_Lends, &pluginv1.Lends{Services: []string{"loop.median.v1.Gone"}}),
			"which is not a service of such objects"},
		"loan of no service": {"loop.median.v1.CreateMedianFactoryRequest.provider",
			fieldOption(pluginv1.E_Lends, &pluginv1.Lends{}), "of no service"},
		"new object of the host": {"loop.median.v1.CreateMedianFactoryRequest.name",
			fieldOption(pluginv1.E_Creates, &pluginv1.Creates{Services: []string{"loop.hostservice.v1.StoreService"}}),
			"which is not a service of such objects"},
		"exception that lends nothing": {"loop.plugin.v1.InitRequest.telemetry", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Options = nil
		}, "lends nothing"},
		"name in a forwarded message": {"loop.hostservice.v1.Entry.key", fieldOption(pluginv1.E_Names, &pluginv1.Names{}),
			"may be forwarded, and loop.hostservice.v1.Entry.key names an object"},
		"name in a message of objects": {"loop.hostservice.v1.ReadRequest.key",
			fieldOption(pluginv1.E_Names, &pluginv1.Names{}),
			"does not stand in a message of a plugin service"},
		"name of bytes": {"loop.relayer.v1.WatchContractConfigsResponse.provider", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
		}, "names objects and is not a string"},
		"digest of any length": {"loop.reporting.v1.ReportTimestamp.config_digest",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{MaxLen: 32}), "without (rules).len: 32"},
		"round without bound": {"loop.reporting.v1.ReportTimestamp.round", fieldOption(pluginv1.E_Rules, &pluginv1.Rules{}),
			"has no (rules).max: 255"},
		"observer up to 255": {"loop.reporting.v1.AttributedObservation.observer",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Max: 255}), "has no (rules).max: 254"},
		"BigInt of any size": {"loop.hostservice.v1.ObserveResponse.value",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Required: true}), "without (rules).bits"},
		"rule that nobody checks": {"loop.reporting.v1.ReportTimestamp.config_digest",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Len: 32, Max: 5}),
			"has (rules).max, which nobody checks"},
		"new object of any name": {"loop.median.v1.CreateMedianFactoryRequest.name",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{MaxLen: 256}),
			"CreateMedianFactoryRequest.name creates an object without (rules).required"},
		"loan of any name": {"loop.median.v1.CreateMedianFactoryRequest.provider",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Required: true}),
			"CreateMedianFactoryRequest.provider lends an object without (rules).max_len: 256"},
		"need of a field that is not there": {"loop.plugin.v1.BigInt.negative",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Needs: "size"}),
			"BigInt.negative has (rules).needs, which nobody checks"},
		"need of a message": {"loop.hostservice.v1.ObserveResponse.value",
			fieldOption(pluginv1.E_Rules, &pluginv1.Rules{Bits: 192, Needs: "value"}),
			"ObserveResponse.value has (rules).needs, which nobody checks"},
		"rules of an optional field": {"loop.hostservice.v1.ReadRequest", func(m proto.Message) {
			d := m.(*descriptorpb.DescriptorProto)
			d.OneofDecl = append(d.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_key")})
			d.Field[0].OneofIndex, d.Field[0].Proto3Optional = proto.Int32(0), proto.Bool(true)
		}, "ReadRequest.key has (rules) and stands in a oneof"},
		"fields out of order": {"loop.reporting.v1.ReportTimestamp", func(m proto.Message) {
			d := m.(*descriptorpb.DescriptorProto)
			slices.Reverse(d.Field)
		}, "ReportTimestamp.epoch stands after a field of a higher number"},
		"enum without a zero value": {"loop.relayer.v1.NodeState", func(m proto.Message) {
			m.(*descriptorpb.EnumDescriptorProto).Value[0].Name = proto.String("NODE_STATE_NONE")
		}, "_UNSPECIFIED"},
		"duration as a number": {"loop.reporting.v1.CreateReportingPluginRequest.n", func(m proto.Message) {
			m.(*descriptorpb.FieldDescriptorProto).Name = proto.String("round_interval")
		}, "is a bare number for a time"},
		"map": {"loop.hostservice.v1.Entry", func(m proto.Message) {
			d := m.(*descriptorpb.DescriptorProto)
			d.Field = append(d.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("tags"), Number: proto.Int32(9),
				Label:    descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(),
				Type:     descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(),
				TypeName: proto.String(".loop.hostservice.v1.Entry.TagsEntry")})
			d.NestedType = append(d.NestedType,
				&descriptorpb.DescriptorProto{Name: proto.String("TagsEntry"),
					Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
					Field: []*descriptorpb.FieldDescriptorProto{
						{Name: proto.String("key"), Number: proto.Int32(1),
							Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
							Type:  descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()},
						{Name: proto.String("value"), Number: proto.Int32(2),
							Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
							Type:  descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()},
					}})
		}, "Entry.tags is a map"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings := read(broken(t, test.name, test.breaks)).lint()
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, test.finding) }) {
				t.Errorf("no finding says %q: %q", test.finding, findings)
			}
		})
	}
}

func methodOption(o *pluginv1.Method) func(proto.Message) {
	return func(m proto.Message) {
		proto.SetExtension(m.(*descriptorpb.MethodDescriptorProto).Options, pluginv1.E_Method, o)
	}
}

func fieldOption(extension protoreflect.ExtensionType, o proto.Message) func(proto.Message) {
	return func(m proto.Message) {
		f := m.(*descriptorpb.FieldDescriptorProto)
		if f.Options == nil {
			f.Options = &descriptorpb.FieldOptions{}
		}
		proto.SetExtension(f.Options, extension, o)
	}
}

// broken returns the linked contract with one descriptor changed.
func broken(t *testing.T, name protoreflect.FullName, breaks func(proto.Message)) files {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	found := false
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		p := proto.CloneOf(protodesc.ToFileDescriptorProto(f))
		set.File = append(set.File, p)
		change := func(parent protoreflect.FullName, child string, m proto.Message) {
			if parent.Append(protoreflect.Name(child)) == name {
				found = true
				breaks(m)
			}
		}
		pkg := protoreflect.FullName(p.GetPackage())
		for _, s := range p.GetService() {
			for _, m := range s.GetMethod() {
				change(pkg.Append(protoreflect.Name(s.GetName())), m.GetName(), m)
			}
			change(pkg, s.GetName(), s)
		}
		for _, m := range p.GetMessageType() {
			for _, f := range m.GetField() {
				change(pkg.Append(protoreflect.Name(m.GetName())), f.GetName(), f)
			}
			change(pkg, m.GetName(), m)
		}
		for _, e := range p.GetEnumType() {
			change(pkg, e.GetName(), e)
		}
		return true
	})
	if !found {
		t.Fatalf("the contract has no %s", name)
	}
	f, err := protodesc.FileOptions{}.NewFiles(set)
	if err != nil {
		t.Fatalf("the broken contract does not link: %v", err)
	}
	return f
}
