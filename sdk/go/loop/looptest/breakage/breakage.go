// Package breakage makes messages of the contract that keep every rule of their fields, and breaks those rules one by
// one. Tests of both ends of the boundary need it.
//
// It reads the rules from the descriptors. It must not know how messages are checked, nor any service.
package breakage

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Breakage is a way to break one rule of one field of a message.
type Breakage struct {
	// Field is the path by which a violation names it, such as observations[0].value.
	Field string
	// How is a phrase: "a byte short".
	How string
	// Apply breaks a message that is equal to the one that Of got.
	Apply func(root protoreflect.Message)
	// Unsendable reports that encoders refuse the message, so that it never reaches another process.
	Unsendable bool
}

// Rules are the rules that a field states; nil if there are none.
func Rules(f protoreflect.FieldDescriptor) *pluginv1.Rules {
	r, _ := proto.GetExtension(f.Options(), pluginv1.E_Rules).(*pluginv1.Rules)
	return r
}

// Of returns all ways to break one field of a message. The message must be valid, and have every message field and an
// element in every list.
func Of(m proto.Message) []Breakage {
	var all []Breakage
	walk(m.ProtoReflect(), "", func(root protoreflect.Message) protoreflect.Message { return root }, &all)
	return all
}

// walk adds the breakages of the message that at finds in a root.
func walk(m protoreflect.Message, prefix string, at func(protoreflect.Message) protoreflect.Message, all *[]Breakage) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		r := Rules(f)
		path := prefix + string(f.Name())
		add := func(how string, change func(protoreflect.Message)) {
			*all = append(*all, Breakage{Field: path, How: how, Apply: func(root protoreflect.Message) { change(at(root)) }})
		}
		set := func(how string, v protoreflect.Value) { add(how, func(m protoreflect.Message) { m.Set(f, v) }) }
		if r.GetRequired() {
			add("absent", func(m protoreflect.Message) { m.Clear(f) })
		}
		if needed := m.Descriptor().Fields().ByName(protoreflect.Name(r.GetNeeds())); needed != nil {
			add("set without "+r.GetNeeds(), func(m protoreflect.Message) {
				m.Clear(needed)
				m.Set(f, value(f, m.NewField(f)))
			})
		}
		if f.IsList() {
			walkList(m, f, path, at, all)
			continue
		}
		switch f.Kind() {
		case protoreflect.StringKind:
			set("not UTF-8", protoreflect.ValueOfString("\xff"))
			(*all)[len(*all)-1].Unsendable = true
			if n := int(r.GetMaxLen()); n > 0 {
				set("too long", protoreflect.ValueOfString(strings.Repeat("x", n+1)))
			}
		case protoreflect.BytesKind:
			if n := int(r.GetLen()); n > 0 {
				set("a byte short", protoreflect.ValueOfBytes(make([]byte, n-1)))
				set("a byte long", protoreflect.ValueOfBytes(make([]byte, n+1)))
				set("empty", protoreflect.ValueOfBytes(nil))
			}
			if n := int(r.GetMaxLen()); n > 0 {
				set("too long", protoreflect.ValueOfBytes(bytes.Repeat([]byte{1}, n+1)))
			}
			if r.GetShortest() {
				set("not in its shortest form", protoreflect.ValueOfBytes([]byte{0, 1}))
			}
		case protoreflect.Uint32Kind:
			if n := r.GetMax(); n > 0 {
				set("too large", protoreflect.ValueOfUint32(uint32(n)+1))
				set("largest of its type", protoreflect.ValueOfUint32(math.MaxUint32))
			}
			if n := r.GetMin(); n > 0 {
				set("too small", protoreflect.ValueOfUint32(uint32(n)-1))
			}
		case protoreflect.Uint64Kind:
			if n := r.GetMax(); n > 0 {
				set("too large", protoreflect.ValueOfUint64(n+1))
			}
			if n := r.GetMin(); n > 0 {
				set("too small", protoreflect.ValueOfUint64(n-1))
			}
		case protoreflect.MessageKind:
			inside(m.Get(f).Message(), path, r, func(root protoreflect.Message) protoreflect.Message {
				return at(root).Mutable(f).Message()
			}, all)
		}
	}
}

func walkList(m protoreflect.Message, f protoreflect.FieldDescriptor, path string,
	at func(protoreflect.Message) protoreflect.Message, all *[]Breakage) {
	r := Rules(f)
	if n := int(r.GetMaxLen()); n > 0 {
		*all = append(*all, Breakage{Field: path, How: "too many elements", Apply: func(root protoreflect.Message) {
			list := at(root).Mutable(f).List()
			for list.Len() <= n {
				list.Append(list.Get(0))
			}
		}})
	}
	for k := range m.Get(f).List().Len() {
		element := fmt.Sprintf("%s[%d]", path, k)
		switch f.Kind() {
		case protoreflect.MessageKind:
			inside(m.Get(f).List().Get(k).Message(), element, r,
				func(root protoreflect.Message) protoreflect.Message {
					return at(root).Mutable(f).List().Get(k).Message()
				}, all)
		case protoreflect.StringKind:
			*all = append(*all,
				Breakage{Field: element, How: "not UTF-8", Unsendable: true, Apply: func(root protoreflect.Message) {
					at(root).Mutable(f).List().Set(k, protoreflect.ValueOfString("\xff"))
				}})
		}
	}
}

// inside adds the breakages of a message that is the field or element at path.
func inside(m protoreflect.Message, path string, r *pluginv1.Rules, at func(protoreflect.Message) protoreflect.Message,
	all *[]Breakage) {
	replace := func(field, how string, with proto.Message) {
		*all = append(*all, Breakage{Field: field, How: how, Apply: func(root protoreflect.Message) {
			m := at(root).Interface()
			proto.Reset(m)
			proto.Merge(m, with)
		}})
	}
	switch m.Interface().(type) {
	case *pluginv1.BigInt:
		walk(m, path+".", at, all)
		if bits := uint(r.GetBits()); bits > 0 {
			limit := new(big.Int).Lsh(big.NewInt(1), bits-1)
			replace(path, "one above its bits", wire.BigInt(limit))
			if !r.GetNonNegative() {
				replace(path, "one below its bits", wire.BigInt(new(big.Int).Not(limit)))
			}
		}
		if r.GetNonNegative() {
			replace(path, "negative", wire.BigInt(big.NewInt(-1)))
		}
	case *durationpb.Duration:
		replace(path, "a second and more in nanos", &durationpb.Duration{Nanos: 1e9})
		replace(path, "two signs", &durationpb.Duration{Seconds: 1, Nanos: -1})
		replace(path, "over 10,000 years", &durationpb.Duration{Seconds: math.MaxInt64})
		if r.GetNonNegative() {
			replace(path, "negative", &durationpb.Duration{Nanos: -1})
		}
	case *timestamppb.Timestamp:
		replace(path, "negative nanos", &timestamppb.Timestamp{Nanos: -1})
		replace(path, "after the year 9999", &timestamppb.Timestamp{Seconds: math.MaxInt64})
		if r.GetNonNegative() {
			replace(path, "before 1970", &timestamppb.Timestamp{Seconds: -1})
		}
	default:
		walk(m, path+".", at, all)
	}
}
