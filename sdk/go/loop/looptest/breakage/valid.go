package breakage

import (
	"bytes"
	"math/big"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// New returns an empty message of the generated type that the descriptor describes. The type must be linked.
func New(d protoreflect.MessageDescriptor) proto.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err) // the caller has the descriptor from the generated package
	}
	return t.New().Interface()
}

// Valid returns a message that keeps every rule, with small values, every field set and one element in every list. It
// has no meaning: the names in it belong to no object.
func Valid(d protoreflect.MessageDescriptor) proto.Message {
	m := New(d)
	fill(m.ProtoReflect())
	return m
}

func fill(m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.IsList() {
			list := m.Mutable(f).List()
			list.Append(value(f, list.NewElement()))
			continue
		}
		m.Set(f, value(f, m.NewField(f)))
	}
}

func value(f protoreflect.FieldDescriptor, fresh protoreflect.Value) protoreflect.Value {
	r := Rules(f)
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{1}, max(1, int(r.GetLen()))))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(max(1, r.GetMin())))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(max(1, r.GetMin()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.MessageKind:
		switch m := fresh.Message().Interface().(type) {
		case *pluginv1.BigInt:
			proto.Merge(m, wire.BigInt(big.NewInt(1)))
		case *durationpb.Duration:
			m.Seconds = 1
		case *timestamppb.Timestamp:
			m.Seconds = 1
		default:
			fill(fresh.Message())
		}
		return fresh
	}
	panic("the contract has a field of kind " + f.Kind().String() + ", which nothing fills: " + string(f.FullName()))
}
