package wire_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func round(change func(*reportingv1.ReportTimestamp)) *reportingv1.ReportTimestamp {
	t := &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1 << 31, Round: 255}
	if change != nil {
		change(t)
	}
	return t
}

func observed(v *pluginv1.BigInt) *hostservicev1.ObserveResponse {
	return &hostservicev1.ObserveResponse{Value: v}
}

// vector is one line of proto/testdata/rules.json. The Python SDK reads the same file.
type vector struct {
	About string
	// Message is the full name of a message of the contract or of rules_schema.textproto.
	Message protoreflect.FullName
	// Text is the message in protobuf's text format.
	Text string
	// Violation is the path and the problem; empty: the message keeps the contract.
	Violation string
}

var testdata = filepath.Join("..", "..", "..", "proto", "testdata")

// schema are the messages of rules_schema.textproto.
func schema(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, "rules_schema.textproto"))
	if err != nil {
		t.Fatal(err)
	}
	var f descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(&f, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestVectors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(testdata, "rules.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("the file has no vectors")
	}
	local := schema(t).Messages()
	for _, v := range vectors {
		t.Run(v.About, func(t *testing.T) {
			t.Parallel()
			var message proto.Message
			if d := local.ByName(v.Message.Name()); v.Message.Parent() == "loop.test" && d != nil {
				message = dynamicpb.NewMessage(d)
			} else if linked, err := protoregistry.GlobalTypes.FindMessageByName(v.Message); err != nil {
				t.Fatalf("%s: %v", v.Message, err)
			} else {
				message = linked.New().Interface()
			}
			if err := prototext.Unmarshal([]byte(v.Text), message); err != nil {
				t.Fatal(err)
			}
			got := ""
			if violation := wire.Check(message); violation != nil {
				got = violation.Error()
			}
			if diff := cmp.Diff(v.Violation, got); diff != "" {
				t.Errorf("violation (-want +got):\n%s", diff)
			}
		})
	}
}

// What no text format has, or what would be endless there.
func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		message proto.Message
		want    *wire.Violation // nil: it keeps the contract
	}{
		"max_len of bytes": {&hostservicev1.PutRequest{Key: "k", Value: make([]byte, 65537)},
			&wire.Violation{Field: "value", Problem: "has 65537 bytes; the limit is 65536"}},
		"max_len of a list": {
			&reportingv1.ReportRequest{Timestamp: round(nil), Observations: make([]*reportingv1.AttributedObservation, 256)},
			&wire.Violation{Field: "observations", Problem: "has 256 elements; the limit is 255"}},
		"endless name": {&medianv1.CreateMedianFactoryRequest{Name: strings.Repeat("n", 257)},
			&wire.Violation{Field: "name", Problem: "has 257 bytes; the limit is 256"}},
		"endless integer": {observed(&pluginv1.BigInt{Magnitude: bytes.Repeat([]byte{1}, 1025)}),
			&wire.Violation{Field: "value.magnitude", Problem: "has 1025 bytes; the limit is 1024"}},
		"not UTF-8": {&hostservicev1.ReadRequest{Key: "\xff"}, &wire.Violation{Field: "key", Problem: "is not UTF-8"}},
		"not UTF-8, no rule": {&hostservicev1.ListAccountsResponse{Accounts: []string{"a", "\xff"}},
			&wire.Violation{Field: "accounts[1]", Problem: "is not UTF-8"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, wire.Check(test.message)); diff != "" {
				t.Errorf("violation (-want +got):\n%s", diff)
			}
		})
	}
}

// What no rule forbids passes: each of the contract's fields is set to the extremes that its type and its rules allow,
// and left out where nothing requires it. So nothing is enforced that the options do not state.
func TestNothingIsCheckedThatNoRuleStates(t *testing.T) {
	t.Parallel()
	for _, d := range contractMessages() {
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			for what, change := range allowed(f) {
				m := breakage.Valid(d)
				change(m.ProtoReflect())
				if v := wire.Check(m); v != nil {
					t.Errorf("%s with %s %s: %v, and no rule says so: %v", d.FullName(), f.Name(), what, v, breakage.Rules(f))
				}
			}
		}
	}
}

// allowed are changes of a field that keep its rules.
func allowed(f protoreflect.FieldDescriptor) map[string]func(protoreflect.Message) {
	const much = 1 << 17 // beyond every bound of the contract
	r := breakage.Rules(f)
	all := map[string]func(protoreflect.Message){}
	set := func(what string, v protoreflect.Value) {
		all[what] = func(m protoreflect.Message) { m.Set(f, v) }
	}
	most, largest := much, uint64(math.MaxUint64)
	if n := int(r.GetMaxLen()); n > 0 {
		most = n
	}
	if n := r.GetMax(); n > 0 {
		largest = n
	}
	if !r.GetRequired() && !needed(f) && (f.IsList() || r.GetLen() == 0 && r.GetMin() == 0) {
		all["left out"] = func(m protoreflect.Message) { m.Clear(f) }
	}
	if f.IsList() {
		all["of many elements"] = func(m protoreflect.Message) {
			list := m.Mutable(f).List()
			for list.Len() < most {
				list.Append(list.Get(0))
			}
		}
		return all
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		set("very long", protoreflect.ValueOfString(strings.Repeat("x", most)))
	case protoreflect.BytesKind:
		if n := int(r.GetLen()); n > 0 {
			set("zero", protoreflect.ValueOfBytes(make([]byte, n)))
			break
		}
		set("very long", protoreflect.ValueOfBytes(bytes.Repeat([]byte{255}, most)))
		if !r.GetShortest() {
			set("zero", protoreflect.ValueOfBytes(make([]byte, most)))
		}
	case protoreflect.Uint32Kind:
		set("the largest", protoreflect.ValueOfUint32(uint32(min(largest, math.MaxUint32))))
		set("the least", protoreflect.ValueOfUint32(uint32(r.GetMin())))
	case protoreflect.Uint64Kind:
		set("the largest", protoreflect.ValueOfUint64(largest))
		set("the least", protoreflect.ValueOfUint64(r.GetMin()))
	case protoreflect.EnumKind:
		set("unknown", protoreflect.ValueOfEnum(999))
	case protoreflect.MessageKind:
		for what, inside := range extremes(f.Message(), r) {
			all[what] = func(m protoreflect.Message) {
				own := m.Mutable(f).Message().Interface()
				proto.Reset(own)
				proto.Merge(own, inside)
			}
		}
	}
	return all
}

// needed reports whether another field of the message may not be set without f.
func needed(f protoreflect.FieldDescriptor) bool {
	for i := range f.ContainingMessage().Fields().Len() {
		if breakage.Rules(f.ContainingMessage().Fields().Get(i)).GetNeeds() == string(f.Name()) {
			return true
		}
	}
	return false
}

// extremes are values of a well-known message that keep a field's rules.
func extremes(d protoreflect.MessageDescriptor, r *pluginv1.Rules) map[string]proto.Message {
	all := map[string]proto.Message{}
	switch d.FullName() {
	case "loop.plugin.v1.BigInt":
		most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(r.GetBits())-1), big.NewInt(1))
		all["the largest"], all["zero"] = wire.BigInt(most), &pluginv1.BigInt{}
		if !r.GetNonNegative() {
			all["the least"] = wire.BigInt(new(big.Int).Not(most))
		}
	case "google.protobuf.Duration":
		all["the longest"] = &durationpb.Duration{Seconds: 315_576_000_000, Nanos: 999_999_999}
		if !r.GetNonNegative() {
			all["the least"] = &durationpb.Duration{Seconds: -315_576_000_000, Nanos: -999_999_999}
		}
	case "google.protobuf.Timestamp":
		all["the last"] = &timestamppb.Timestamp{Seconds: 253_402_300_799, Nanos: 999_999_999}
		if !r.GetNonNegative() {
			all["the first"] = &timestamppb.Timestamp{Seconds: -62_135_596_800}
		}
	}
	return all
}

func TestViolationAsStatus(t *testing.T) {
	t.Parallel()
	v := &wire.Violation{Field: "timestamp.round", Problem: "is 256; the largest value is 255"}
	s := v.Status("loop.reporting.v1.QueryRequest")
	const want = "loop.reporting.v1.QueryRequest.timestamp.round: is 256; the largest value is 255"
	if s.Code() != codes.InvalidArgument || s.Message() != want {
		t.Errorf("status is %s %q; want %q", s.Code(), s.Message(), want)
	}
	if b, ok := s.Details()[0].(*errdetails.BadRequest); !ok || b.GetFieldViolations()[0].GetField() != v.Field ||
		b.GetFieldViolations()[0].GetDescription() != v.Problem {
		t.Errorf("details are %v", s.Details())
	}
	if want := "timestamp.round: is 256; the largest value is 255"; v.Error() != want {
		t.Errorf("Error is %q; want %q", v.Error(), want)
	}
}

func TestBigIntRoundTrip(t *testing.T) {
	t.Parallel()
	if wire.BigInt(nil) != nil || wire.Int(nil) != nil {
		t.Error("nil does not stay nil")
	}
	rapid.Check(t, func(t *rapid.T) {
		i := integer(t, "integer", 8*rapid.IntRange(8, 128).Draw(t, "bytes"), false)
		before := new(big.Int).Set(i)
		b := wire.BigInt(i)
		if v := wire.Check(b); v != nil {
			t.Fatalf("%s becomes %v, which breaks the contract: %v", i, b, v)
		}
		back := wire.Int(b)
		if back.Cmp(i) != 0 || i.Cmp(before) != 0 {
			t.Fatalf("%s became %s", before, back)
		}
		if again := wire.BigInt(back); !proto.Equal(b, again) {
			t.Fatalf("%s has two forms: %v and %v", i, b, again)
		}
		// Neither form shares memory with the other: a change of one must not change the other.
		back.Add(back, big.NewInt(1))
		for k := range b.GetMagnitude() {
			b.Magnitude[k]++
		}
		if i.Cmp(before) != 0 {
			t.Fatalf("changing a copy of %s made it %s", before, i)
		}
	})
}

// What decodes but is not canonical is refused by Check, and Int never panics on it.
func TestIntTakesAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &pluginv1.BigInt{Negative: rapid.Bool().Draw(t, "negative"),
			Magnitude: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "magnitude")}
		canonical := proto.Equal(wire.BigInt(wire.Int(b)), b)
		if v := wire.Check(b); (v == nil) != canonical {
			t.Fatalf("%v is canonical: %t; Check says %v", b, canonical, v)
		}
	})
}
