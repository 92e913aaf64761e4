package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// valid makes messages that keep their rules, with every message field present and every list with an element.
func valid(d protoreflect.MessageDescriptor) *rapid.Generator[proto.Message] {
	return rapid.Custom(func(t *rapid.T) proto.Message {
		m := breakage.New(d).ProtoReflect()
		fill(t, m)
		_ = rapid.Bool().Draw(t, "padding") // a message without fields draws nothing else, which rapid refuses
		return m.Interface()
	})
}

func fill(t *rapid.T, m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if !f.IsList() {
			m.Set(f, value(t, f, m.NewField(f)))
			continue
		}
		list := m.Mutable(f).List()
		for range rapid.IntRange(1, 3).Draw(t, "elements") {
			list.Append(value(t, f, list.NewElement()))
		}
	}
}

func value(t *rapid.T, f protoreflect.FieldDescriptor, fresh protoreflect.Value) protoreflect.Value {
	r := breakage.Rules(f)
	name := string(f.Name())
	least := 0
	if r.GetRequired() {
		least = 1
	}
	most := 16
	if n := int(r.GetMaxLen()); n > 0 && !f.IsList() {
		most = min(most, n)
	}
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.StringOfN(rapid.RuneFrom([]rune("abcXYZ019/-é")), least, most, most).Draw(t,
			name))
	case protoreflect.BytesKind:
		if n := int(r.GetLen()); n > 0 {
			least, most = n, n
		}
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		highest := r.GetMax()
		if highest == 0 {
			highest = math.MaxUint32
		}
		n := rapid.Uint64Range(r.GetMin(), highest).Draw(t, name)
		if f.Kind() == protoreflect.Uint32Kind {
			return protoreflect.ValueOfUint32(uint32(n))
		}
		return protoreflect.ValueOfUint64(n)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, name))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.IntRange(least, 1).Draw(t, name)))
	case protoreflect.MessageKind:
		switch m := fresh.Message().Interface().(type) {
		case *pluginv1.BigInt:
			proto.Merge(m, wire.BigInt(integer(t, name, int(r.GetBits()), r.GetNonNegative())))
		case *durationpb.Duration:
			m.Seconds = seconds(t, r)
		case *timestamppb.Timestamp:
			m.Seconds = seconds(t, r)
		default:
			fill(t, fresh.Message())
		}
		return fresh
	}
	panic("the contract has a field of kind " + f.Kind().String() + ", which this test cannot fill: " +
		string(f.FullName()))
}

func seconds(t *rapid.T, r *pluginv1.Rules) int64 {
	least := int64(-1e9)
	if r.GetNonNegative() {
		least = 0
	}
	return rapid.Int64Range(least, 1e9).Draw(t, "seconds")
}

// integer draws one that fits a signed integer of so many bits.
func integer(t *rapid.T, name string, bits int, nonNegative bool) *big.Int {
	if bits == 0 {
		bits = 512
	}
	n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, bits/8).Draw(t, name))
	n.Rsh(n, uint(max(0, n.BitLen()-(bits-1))))
	if !nonNegative && rapid.Bool().Draw(t, "below zero") {
		n.Neg(n)
	}
	return n
}

// Every rule of every field of every method is kept on both ends of every transport: a request that breaks one never
// leaves its caller, is refused by a server whose caller did not look, and an answer that breaks one never reaches a
// caller that would believe it.
func TestEveryRuleOfEveryMethodIsKept(t *testing.T) {
	t.Parallel()
	for name, connect := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer proto.Message // set before each call, and read while it lasts
			server := &fake{answer: func(context.Context, protoreflect.MethodDescriptor, proto.Message) (any, error) {
				return answer, nil
			}}
			checked, unchecked := connect(t, server.seam), connect(t, server.raw)
			covered := 0
			for _, m := range contractMethods() {
				for seed := range 2 {
					request, reply := valid(m.Input()).Example(seed), valid(m.Output()).Example(seed)
					answer = reply
					got := breakage.New(m.Output())
					if err := call(t.Context(), wire.Bind(checked, "object"), m, request, got); err != nil {
						t.Fatalf("%s with a valid request and answer: %v\n%v", m.FullName(), err, request)
					}
					if diff := cmp.Diff(reply, got, protocmp.Transform()); diff != "" {
						t.Fatalf("%s answered (-want +got):\n%s", m.FullName(), diff)
					}
					for _, b := range breakage.Of(request) {
						covered++
						bad := proto.Clone(request)
						b.Apply(bad.ProtoReflect())
						before := server.calls.Load()
						expectViolation(t, fmt.Sprintf("%s, from its caller, %s %s", m.FullName(), b.Field, b.How), b.Field,
							call(t.Context(), wire.Bind(unchecked, "object"), m, bad, breakage.New(m.Output())))
						if name == "in-process" || !b.Unsendable {
							expectViolation(t, fmt.Sprintf("%s, from its server, %s %s", m.FullName(), b.Field, b.How), b.Field,
								call(t.Context(), checked, m, bad, breakage.New(m.Output())))
						}
						if server.calls.Load() != before {
							t.Errorf("%s with %s %s was served", m.FullName(), b.Field, b.How)
						}
					}
					for _, b := range breakage.Of(reply) {
						covered++
						answer = proto.Clone(reply)
						b.Apply(answer.ProtoReflect())
						want := fmt.Sprintf("the answer to %s breaks the contract: %s.%s: ", fullMethod(m), m.Output().FullName(),
							b.Field)
						errs := map[string]error{"server": call(t.Context(), checked, m, request, breakage.New(m.Output()))}
						if name == "in-process" || !b.Unsendable {
							errs["caller"] = call(t.Context(), wire.Bind(unchecked, "object"), m, request, breakage.New(m.Output()))
						}
						for end, err := range errs {
							if s := status.Convert(err); s.Code() != codes.Internal || !strings.HasPrefix(s.Message(), want) {
								t.Errorf("the %s let an answer with %s %s pass: %v", end, b.Field, b.How, err)
							}
						}
					}
				}
			}
			if covered < 500 {
				t.Errorf("only %d breakages were tried: the contract has more rules", covered)
			}
		})
	}
}

func expectViolation(t *testing.T, what, field string, err error) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != codes.InvalidArgument {
		t.Errorf("%s: %v; want INVALID_ARGUMENT", what, err)
		return
	}
	var fields []string
	for _, d := range s.Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range b.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	if diff := cmp.Diff([]string{field}, fields); diff != "" {
		t.Errorf("%s: named fields (-want +got):\n%s", what, diff)
	}
}

func frame(b []byte) *wire.Frame { return &wire.Frame{Data: mem.BufferSlice{mem.SliceBuffer(b)}} }

// seeds are the encodings of a valid request and a valid answer of each method, whole and cut.
func seeds(f *testing.F) {
	for i, m := range contractMethods() {
		for _, d := range []protoreflect.MessageDescriptor{m.Input(), m.Output()} {
			b, err := proto.Marshal(valid(d).Example(i))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint(i), b)
			f.Add(uint(i), b[:len(b)/2])
		}
	}
	f.Add(uint(0), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
}

// settled fails if a call ended other than with success or a status that means it.
func settled(t *testing.T, what string, err error) {
	if err == nil || errors.Is(err, io.EOF) {
		return
	}
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.DeadlineExceeded || s.Code() == codes.Unknown ||
		strings.Contains(s.Message(), "panicked") {
		t.Errorf("%s: %v", what, err)
	}
}

// Bytes of any kind as a request never panic or hang a server.
func FuzzRequests(f *testing.F) {
	seeds(f)
	methods := contractMethods()
	server := &fake{}
	server.answer = func(_ context.Context, m protoreflect.MethodDescriptor, request proto.Message) (any, error) {
		if v := wire.Check(request); v != nil {
			return nil, status.Errorf(codes.Unknown, "the seam let %v pass", v)
		}
		return valid(m.Output()).Example(0), nil
	}
	connections := connections(f, server.seam)
	f.Fuzz(func(t *testing.T, method uint, request []byte) {
		m := methods[method%uint(len(methods))]
		for name, cc := range connections {
			settled(t, fmt.Sprintf("%s, %s", m.FullName(), name), call(t.Context(), cc, m, frame(request), &wire.Frame{}))
		}
	})
}

// Bytes of any kind as an answer never panic or hang a caller, and what passes keeps the contract.
func FuzzAnswers(f *testing.F) {
	seeds(f)
	methods := contractMethods()
	var answer []byte // one call at a time reads it
	server := &fake{answer: func(context.Context, protoreflect.MethodDescriptor, proto.Message) (any, error) {
		return frame(answer), nil
	}}
	connections := connections(f, server.raw)
	requests := map[protoreflect.FullName]proto.Message{}
	for _, m := range methods {
		requests[m.FullName()] = valid(m.Input()).Example(0)
	}
	f.Fuzz(func(t *testing.T, method uint, bytes []byte) {
		m := methods[method%uint(len(methods))]
		answer = bytes
		for name, cc := range connections {
			what := fmt.Sprintf("%s, %s", m.FullName(), name)
			reply := breakage.New(m.Output())
			err := call(t.Context(), wire.Bind(cc, "object"), m, requests[m.FullName()], reply)
			settled(t, what, err)
			if v := wire.Check(reply); err == nil && v != nil {
				t.Errorf("%s: the caller took an answer with %v", what, v)
			}
		}
	})
}
