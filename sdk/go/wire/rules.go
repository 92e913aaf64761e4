package wire

import (
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
)

// Violation is a field that breaks a rule of the contract.
type Violation struct {
	// Field is the path from the message, such as timestamp.config_digest or observations[3].value.
	Field string
	// Problem says what the field holds and what it must hold.
	Problem string
}

// Error implements error.
func (v *Violation) Error() string { return v.Field + ": " + v.Problem }

// Status is the INVALID_ARGUMENT by which a request with this violation is refused.
func (v *Violation) Status(message protoreflect.FullName) *status.Status {
	s := status.Newf(codes.InvalidArgument, "%s.%s: %s", message, v.Field, v.Problem)
	d, err := s.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
		Field: v.Field, Description: v.Problem,
	}}})
	if err != nil {
		return s // the sentence alone says it
	}
	return d
}

// Check reports the first field of m, in the order of their numbers, that breaks a rule of the contract, or nil.
func Check(m proto.Message) *Violation { return check(m.ProtoReflect(), "") }

// rule is what is to be checked of one field.
type rule struct {
	field protoreflect.FieldDescriptor
	rules *pluginv1.Rules
}

// plans caches, per message type, the fields that are worth a look: most messages of the contract have few.
var plans sync.Map // protoreflect.FullName -> []rule

func plan(d protoreflect.MessageDescriptor) []rule {
	if p, ok := plans.Load(d.FullName()); ok {
		return p.([]rule)
	}
	var p []rule
	fields := d.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		r, _ := proto.GetExtension(f.Options(), pluginv1.E_Rules).(*pluginv1.Rules)
		creates, _ := proto.GetExtension(f.Options(), pluginv1.E_Creates).(*pluginv1.Creates)
		lends, _ := proto.GetExtension(f.Options(), pluginv1.E_Lends).(*pluginv1.Lends)
		if r == nil && (creates != nil || lends != nil) {
			// A name is as good as its unguessability: an empty or endless one is none.
			r = &pluginv1.Rules{Required: true, MaxLen: 256}
		}
		if r == nil && f.Message() == nil && f.Kind() != protoreflect.StringKind {
			continue
		}
		if r == nil {
			r = &pluginv1.Rules{}
		}
		p = append(p, rule{field: f, rules: r})
	}
	plans.Store(d.FullName(), p)
	return p
}

func check(m protoreflect.Message, prefix string) *Violation {
	switch v := m.Interface().(type) {
	case *pluginv1.BigInt:
		if b := v.GetMagnitude(); len(b) > 0 && b[0] == 0 {
			return &Violation{prefix + "magnitude", "begins with a zero byte; the shortest form is wanted"}
		} else if len(b) == 0 && v.GetNegative() {
			return &Violation{prefix + "negative", "is set for zero"}
		}
	case *durationpb.Duration:
		if err := v.CheckValid(); err != nil {
			return &Violation{trimDot(prefix), "is not a valid duration: " + err.Error()}
		}
		return nil
	case *timestamppb.Timestamp:
		if err := v.CheckValid(); err != nil {
			return &Violation{trimDot(prefix), "is not a valid timestamp: " + err.Error()}
		}
		return nil
	}
	for _, r := range plan(m.Descriptor()) {
		if v := checkField(m, r, prefix); v != nil {
			return v
		}
	}
	return nil
}

func trimDot(prefix string) string {
	if prefix == "" {
		return prefix
	}
	return prefix[:len(prefix)-1]
}

func checkField(m protoreflect.Message, r rule, prefix string) *Violation {
	name := prefix + string(r.field.Name())
	if r.field.IsMap() {
		return nil // the contract has no maps; its lint test holds that
	}
	if r.field.IsList() {
		list := m.Get(r.field).List()
		n := uint32(list.Len())
		switch {
		case r.rules.GetRequired() && n == 0:
			return &Violation{name, "is empty; at least one element is wanted"}
		case r.rules.GetMaxLen() > 0 && n > r.rules.GetMaxLen():
			return &Violation{name, fmt.Sprintf("has %d elements; the limit is %d", n, r.rules.GetMaxLen())}
		}
		// Elements keep the bounds of values; required and max_len speak of the list itself.
		element := &pluginv1.Rules{Len: r.rules.GetLen(), Max: r.rules.GetMax(), Min: r.rules.GetMin(), Bits: r.rules.GetBits()}
		for i := range list.Len() {
			if v := checkValue(list.Get(i), r.field, element, name+"["+strconv.Itoa(i)+"]"); v != nil {
				return v
			}
		}
		return nil
	}
	if r.field.Message() != nil && !m.Has(r.field) {
		if r.rules.GetRequired() {
			return &Violation{name, "is absent; it is required"}
		}
		return nil
	}
	return checkValue(m.Get(r.field), r.field, r.rules, name)
}

func checkValue(v protoreflect.Value, f protoreflect.FieldDescriptor, r *pluginv1.Rules, name string) *Violation {
	switch f.Kind() {
	case protoreflect.BytesKind:
		return checkLength(len(v.Bytes()), r, name)
	case protoreflect.StringKind:
		// Between processes the encoder refuses such a string, without naming the field; in one process nobody would.
		if !utf8.ValidString(v.String()) {
			return &Violation{name, "is not UTF-8"}
		}
		return checkLength(len(v.String()), r, name)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		n := v.Uint()
		switch {
		case r.GetMax() > 0 && n > r.GetMax():
			return &Violation{name, fmt.Sprintf("is %d; the largest value is %d", n, r.GetMax())}
		case n < r.GetMin():
			return &Violation{name, fmt.Sprintf("is %d; the least value is %d", n, r.GetMin())}
		}
	case protoreflect.MessageKind:
		if bad := check(v.Message(), name+"."); bad != nil {
			return bad
		}
		return checkMessage(v.Message().Interface(), r, name)
	}
	return nil
}

func checkLength(n int, r *pluginv1.Rules, name string) *Violation {
	switch {
	case r.GetLen() > 0 && n != int(r.GetLen()):
		return &Violation{name, fmt.Sprintf("has %d bytes; it must have %d", n, r.GetLen())}
	case r.GetRequired() && n == 0:
		return &Violation{name, "is empty; it is required"}
	case r.GetMaxLen() > 0 && n > int(r.GetMaxLen()):
		return &Violation{name, fmt.Sprintf("has %d bytes; the limit is %d", n, r.GetMaxLen())}
	}
	return nil
}

// checkMessage checks the rules that speak of well-known messages.
func checkMessage(m proto.Message, r *pluginv1.Rules, name string) *Violation {
	switch v := m.(type) {
	case *pluginv1.BigInt:
		i := Int(v)
		if r.GetNonNegative() && i.Sign() < 0 {
			return &Violation{name, "is negative"}
		}
		if bits := int(r.GetBits()); bits > 0 {
			n := i.BitLen()
			if i.Sign() < 0 { // -2^(bits-1) fits, one less does not
				n = i.Add(i, one).BitLen()
			}
			if n > bits-1 {
				return &Violation{name, fmt.Sprintf("does not fit a signed integer of %d bits", bits)}
			}
		}
	case *durationpb.Duration:
		if r.GetNonNegative() && v.AsDuration() < 0 {
			return &Violation{name, "is negative"}
		}
	case *timestamppb.Timestamp:
		if r.GetNonNegative() && v.GetSeconds() < 0 {
			return &Violation{name, "is before 1970"}
		}
	}
	return nil
}
