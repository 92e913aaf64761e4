package proto_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
)

// page is what authors read whose language has no SDK.
const page = "../docs/contract.md"

// TestPage holds the page's tables to the contract's options, and to its rules: authors who cannot read options at run
// time write them down from there.
func TestPage(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	c := read(protoregistry.GlobalFiles)
	want := have
	for name, table := range map[string][]string{"constructors": c.constructors(), "methods": c.methods()} {
		if want, err = section(want, name, table); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := gocmp.Diff(string(want), string(have)); d != "" {
		t.Errorf("%s is behind the contract; run go test ./proto -run TestPage -update:\n%s", page, d)
	}
	rules := (&pluginv1.Rules{}).ProtoReflect().Descriptor().Fields()
	for i := range rules.Len() {
		if name := string(rules.Get(i).Name()); !bytes.Contains(have, []byte("\n| `"+name+"` |")) {
			t.Errorf("%s has no row for the rule %s", page, name)
		}
	}
	requests := (&pluginv1.InitRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range requests.Len() {
		if name := string(requests.Get(i).Name()); !bytes.Contains(have, []byte("`"+name+"`")) {
			t.Errorf("%s says nothing of InitRequest.%s", page, name)
		}
	}
}

// section puts lines between the marks of that name.
func section(page []byte, name string, lines []string) ([]byte, error) {
	begin, end := []byte("<!-- "+name+": begin;"), []byte("<!-- "+name+": end -->")
	before, rest, found := bytes.Cut(page, begin)
	mark, rest, ended := bytes.Cut(rest, []byte("\n"))
	_, after, closed := bytes.Cut(rest, end)
	if !found || !ended || !closed {
		return nil, fmt.Errorf("the page has lost its marks %s and %s", begin, end)
	}
	table := []byte(strings.Join(lines, "\n") + "\n")
	return slices.Concat(before, begin, mark, []byte("\n"), table, end, after), nil
}

// constructors says what each of them makes and borrows.
func (c *contract) constructors() []string {
	lines := []string{"| constructor | called on | the new object serves | lent to it: field and services |",
		"| --- | --- | --- | --- |"}
	c.each(func(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) {
		var makes, lends []string
		for i := range m.Input().Fields().Len() {
			f := m.Input().Fields().Get(i)
			if o, _ := proto.GetExtension(f.Options(), pluginv1.E_Creates).(*pluginv1.Creates); o != nil {
				makes = append(makes, services(o.GetServices()))
			}
			if o, _ := proto.GetExtension(f.Options(), pluginv1.E_Lends).(*pluginv1.Lends); o != nil {
				empty := ", may be empty"
				if rulesOf(f).GetRequired() {
					empty = ""
				}
				lends = append(lends, fmt.Sprintf("`%s`%s: %s", f.Name(), empty, services(o.GetServices())))
			}
		}
		if len(makes)+len(lends) == 0 {
			return
		}
		on := "the plugin"
		if isObject(s) {
			on = "an object, its parent"
		}
		lines = append(lines, fmt.Sprintf("| `%s.%s` | %s | %s | %s |", s.Name(), m.Name(), on,
			cmp.Or(strings.Join(makes, ", "), "no object: lent to the process"), cmp.Or(strings.Join(lends, "; "), "nothing")))
	})
	return lines
}

// services are their names without packages.
func services(full []string) string {
	var names []string
	for _, f := range full {
		names = append(names, "`"+string(protoreflect.FullName(f).Name())+"`")
	}
	return strings.Join(names, ", ")
}

// methods says how long a call may take, and whether it is made again.
func (c *contract) methods() []string {
	lines := []string{"| method | served by | deadline | repeated |", "| --- | --- | --- | --- |"}
	c.each(func(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) {
		by := "the plugin"
		switch {
		case isHost(s):
			by = "the node"
		case isObject(s):
			by = "an object"
		}
		deadline := "none: a stream"
		if o, _ := proto.GetExtension(m.Options(), pluginv1.E_Method).(*pluginv1.Method); o.GetTimeout() != nil {
			deadline = o.GetTimeout().AsDuration().String()
		}
		repeated := "no"
		if m.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
			repeated = "yes"
		}
		lines = append(lines, fmt.Sprintf("| `%s.%s` | %s | %s | %s |", s.Name(), m.Name(), by, deadline, repeated))
	})
	return lines
}

// each visits the methods between node and plugins, service by service.
func (c *contract) each(visit func(protoreflect.ServiceDescriptor, protoreflect.MethodDescriptor)) {
	for _, s := range c.services {
		for i := range s.Methods().Len() {
			if _, operators := operatorServices[s.FullName()]; !operators {
				visit(s, s.Methods().Get(i))
			}
		}
	}
}
