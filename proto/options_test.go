package proto_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var update = flag.Bool("update", false, "write testdata/options.golden and the tables of docs/contract.md anew")

const golden = "testdata/options.golden"

// TestOptionsAreKept compares the options of every service, method and field with testdata/options.golden, because `buf
// breaking` does not look at options of our own: a timeout that is gone, a loan that is gone or a bound that is wider
// would pass it, and plugins that were built before would meet hosts that behave otherwise.
//
// To change an option knowingly: decide by docs/contract.md whether the change needs a new protocol version, run
//
//	go test ./proto -run TestOptionsAreKept -update
//
// and commit the golden file with the .proto file. Its diff is what a reviewer reads: a line that goes, or one whose
// bound becomes narrower, breaks plugins that are out there; new lines do not.
func TestOptionsAreKept(t *testing.T) {
	t.Parallel()
	got := read(protoregistry.GlobalFiles).options()
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("new: %s", line)
		}
	}
	if t.Failed() {
		t.Log("if this is meant, read the comment of TestOptionsAreKept and run: go test ./proto -run TestOptionsAreKept " +
			"-update")
	}
}

// options is one line per service, method and field, each with its options. The operator's API has none of ours, and
// `buf breaking` sees the rest of it.
func (c *contract) options() []string {
	var lines []string
	line := func(kind string, d protoreflect.Descriptor, what string) {
		for s := range operatorServices {
			if d.ParentFile().Package() == s.Parent() {
				return
			}
		}
		lines = append(lines,
			strings.TrimRight(fmt.Sprintf("%s %s %s %s", kind, d.FullName(), what, text(d.Options().ProtoReflect())), " "))
	}
	for _, s := range c.services {
		line("service", s, "")
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			stream := func(is bool) string {
				if is {
					return "stream "
				}
				return ""
			}
			line("method", m,
				fmt.Sprintf("(%s%s) returns (%s%s)", stream(m.IsStreamingClient()), m.Input().FullName(),
					stream(m.IsStreamingServer()), m.Output().FullName()))
		}
	}
	for _, m := range c.messages {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			line("field", f, "= "+strconv.Itoa(int(f.Number())))
		}
	}
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return lines
}

// text prints a message's fields in the order of their numbers. prototext would do, but changes its spaces on purpose.
func text(m protoreflect.Message) string {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	var parts []string
	for _, f := range fields {
		value := func(v protoreflect.Value) string {
			switch {
			case f.Message() != nil:
				return "{" + text(v.Message()) + "}"
			case f.Enum() != nil:
				return string(f.Enum().Values().ByNumber(v.Enum()).Name())
			}
			return v.String()
		}
		name := string(f.Name())
		if f.IsExtension() {
			name = "(" + name + ")"
		}
		if !f.IsList() {
			parts = append(parts, name+": "+value(m.Get(f)))
			continue
		}
		for i := range m.Get(f).List().Len() {
			parts = append(parts, name+": "+value(m.Get(f).List().Get(i)))
		}
	}
	return strings.Join(parts, " ")
}
