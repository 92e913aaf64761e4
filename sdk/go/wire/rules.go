package wire

import (
	"cmp"
	"fmt"
	"slices"
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

// Status returns the INVALID_ARGUMENT that refuses a request with this violation.
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

// Check reports the first field of m that breaks a rule of the contract, or nil. The comment of the message Rules in
// options.proto says which one is first, and how it is named.
func Check(m proto.Message) *Violation { return check(m.ProtoReflect()) }

// rule is what is to be checked of one field.
type rule struct {
	field protoreflect.FieldDescriptor
	rules *pluginv1.Rules
	// element are the rules for a list's elements: the bounds of values; required and max_len hold for the list itself.
	element *pluginv1.Rules
	needs   protoreflect.FieldDescriptor // nil: none
}

// plans caches, per message type, the fields that are worth a look: most messages of the contract have few.
var plans sync.Map // protoreflect.MessageDescriptor -> []rule

func plan(d protoreflect.MessageDescriptor) []rule {
	if p, ok := plans.Load(d); ok {
		return p.([]rule)
	}
	var p []rule
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		r, _ := proto.GetExtension(f.Options(), pluginv1.E_Rules).(*pluginv1.Rules)
		if r == nil && f.Message() == nil && f.Kind() != protoreflect.StringKind || f.IsMap() {
			continue // the contract has no maps; its lint test holds that
		}
		p = append(p, rule{field: f, rules: r, needs: d.Fields().ByName(protoreflect.Name(r.GetNeeds())),
			element: &pluginv1.Rules{Len: r.GetLen(), Max: r.GetMax(), Min: r.GetMin()}})
	}
	slices.SortFunc(p, func(a, b rule) int { return cmp.Compare(a.field.Number(), b.field.Number()) })
	plans.Store(d, p)
	return p
}

func check(m protoreflect.Message) *Violation {
	for _, r := range plan(m.Descriptor()) {
		if v := checkField(m, r); v != nil {
			return v.under(string(r.field.Name()))
		}
	}
	return nil
}

// under puts the name of what it was found in before the violation's path. Paths are made only for violations.
func (v *Violation) under(name string) *Violation {
	switch {
	case v.Field == "":
		v.Field = name
	case v.Field[0] == '[':
		v.Field = name + v.Field
	default:
		v.Field = name + "." + v.Field
	}
	return v
}

func violation(format string, args ...any) *Violation {
	return &Violation{Problem: fmt.Sprintf(format, args...)}
}

func checkField(m protoreflect.Message, r rule) *Violation {
	if r.field.IsList() {
		return checkList(m.Get(r.field).List(), r)
	}
	if r.field.Message() != nil && !m.Has(r.field) {
		if r.rules.GetRequired() {
			return violation("is absent; it is required")
		}
		return nil
	}
	if v := checkValue(m.Get(r.field), r.field, r.rules); v != nil {
		return v
	}
	if r.needs != nil && m.Has(r.field) && !m.Has(r.needs) {
		return violation("is set although %s is empty", r.needs.Name())
	}
	return nil
}

func checkList(list protoreflect.List, r rule) *Violation {
	n := uint32(list.Len())
	switch {
	case r.rules.GetRequired() && n == 0:
		return violation("is empty; at least one element is wanted")
	case r.rules.GetMaxLen() > 0 && n > r.rules.GetMaxLen():
		return violation("has %d elements; the limit is %d", n, r.rules.GetMaxLen())
	}
	for i := range list.Len() {
		if v := checkValue(list.Get(i), r.field, r.element); v != nil {
			return v.under("[" + strconv.Itoa(i) + "]")
		}
	}
	return nil
}

func checkValue(v protoreflect.Value, f protoreflect.FieldDescriptor, r *pluginv1.Rules) *Violation {
	switch f.Kind() {
	case protoreflect.BytesKind:
		if bad := checkLength(len(v.Bytes()), r); bad != nil {
			return bad
		}
		if b := v.Bytes(); r.GetShortest() && len(b) > 0 && b[0] == 0 {
			return violation("begins with a zero byte; the shortest form is wanted")
		}
	case protoreflect.StringKind:
		// Between processes the encoder refuses such a string, without naming the field; in one process nobody would.
		if !utf8.ValidString(v.String()) {
			return violation("is not UTF-8")
		}
		return checkLength(len(v.String()), r)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		n := v.Uint()
		switch {
		case r.GetMax() > 0 && n > r.GetMax():
			return violation("is %d; the largest value is %d", n, r.GetMax())
		case n < r.GetMin():
			return violation("is %d; the least value is %d", n, r.GetMin())
		}
	case protoreflect.EnumKind:
		if r.GetRequired() && v.Enum() == 0 {
			return violation("is not specified; it is required")
		}
	case protoreflect.MessageKind:
		if bad := check(v.Message()); bad != nil {
			return bad
		}
		return checkMessage(v.Message().Interface(), r)
	}
	return nil
}

func checkLength(n int, r *pluginv1.Rules) *Violation {
	switch {
	case r.GetLen() > 0 && n != int(r.GetLen()):
		return violation("has %d bytes; it must have %d", n, r.GetLen())
	case r.GetRequired() && n == 0:
		return violation("is empty; it is required")
	case r.GetMaxLen() > 0 && n > int(r.GetMaxLen()):
		return violation("has %d bytes; the limit is %d", n, r.GetMaxLen())
	}
	return nil
}

// checkMessage checks the rules for well-known messages.
func checkMessage(m proto.Message, r *pluginv1.Rules) *Violation {
	switch v := m.(type) {
	case *pluginv1.BigInt:
		i := Int(v)
		if r.GetNonNegative() && i.Sign() < 0 {
			return violation("is negative")
		}
		if bits := int(r.GetBits()); bits > 0 {
			n := i.BitLen()
			if i.Sign() < 0 { // -2^(bits-1) fits, one less does not
				n = i.Add(i, one).BitLen()
			}
			if n > bits-1 {
				return violation("does not fit a signed integer of %d bits", bits)
			}
		}
	case *durationpb.Duration:
		if problem := problemOfDuration(v); problem != "" {
			return violation("is not a valid duration: %s", problem)
		}
		if r.GetNonNegative() && (v.GetSeconds() < 0 || v.GetNanos() < 0) {
			return violation("is negative")
		}
	case *timestamppb.Timestamp:
		if problem := problemOfTimestamp(v); problem != "" {
			return violation("is not a valid timestamp: %s", problem)
		}
		if r.GetNonNegative() && v.GetSeconds() < 0 {
			return violation("is before 1970")
		}
	}
	return nil
}

// As protobuf defines both, in seconds: 10,000 years for a Duration, the years 1 to 9999 for a Timestamp.
const (
	longestDuration = 315_576_000_000
	firstSecond     = -62_135_596_800
	lastSecond      = 253_402_300_799
	nanosPerSecond  = 1_000_000_000
)

// problemOfDuration is what CheckValid of package durationpb finds, in words that every SDK has: CheckValid's are
// protobuf's own and vary on purpose.
func problemOfDuration(d *durationpb.Duration) string {
	switch s, n := d.GetSeconds(), d.GetNanos(); {
	case s < -longestDuration || s > longestDuration:
		return fmt.Sprintf("%d seconds are beyond 10,000 years", s)
	case n <= -nanosPerSecond || n >= nanosPerSecond:
		return fmt.Sprintf("%d nanoseconds are a second or more", n)
	case s > 0 && n < 0 || s < 0 && n > 0:
		return "seconds and nanoseconds have different signs"
	}
	return ""
}

// problemOfTimestamp is what CheckValid of package timestamppb finds, likewise.
func problemOfTimestamp(t *timestamppb.Timestamp) string {
	switch s, n := t.GetSeconds(), t.GetNanos(); {
	case s < firstSecond || s > lastSecond:
		return fmt.Sprintf("%d seconds are outside the years 1 to 9999", s)
	case n < 0 || n >= nanosPerSecond:
		return fmt.Sprintf("%d nanoseconds are negative, or a second or more", n)
	}
	return ""
}
