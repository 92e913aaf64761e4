package cli

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// document is a message as JSON, with two differences, as in tables: bytes are hexadecimal digits, and large numbers
// are decimal digits.
func document(m proto.Message) (any, error) {
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	return readable(v, m.ProtoReflect().Descriptor()), nil
}

// readable is a message of which protojson made v.
func readable(v any, d protoreflect.MessageDescriptor) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v // null, or a type that JSON has a text for
	}
	if d.FullName() == (&pluginv1.BigInt{}).ProtoReflect().Descriptor().FullName() {
		negative, _ := object["negative"].(bool)
		magnitude, _ := object["magnitude"].(string)
		b, err := base64.StdEncoding.DecodeString(magnitude)
		if err != nil {
			return v
		}
		return wire.Int(&pluginv1.BigInt{Negative: negative, Magnitude: b}).String()
	}
	for at := range d.Fields().Len() {
		f := d.Fields().Get(at)
		value, there := object[f.JSONName()]
		if !there || f.IsMap() {
			continue
		}
		if list, ok := value.([]any); ok && f.IsList() {
			for at := range list {
				list[at] = readableField(list[at], f)
			}
			continue
		}
		object[f.JSONName()] = readableField(value, f)
	}
	return object
}

func readableField(v any, f protoreflect.FieldDescriptor) any {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return readable(v, f.Message())
	case protoreflect.BytesKind:
		if text, ok := v.(string); ok {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return hex.EncodeToString(b)
			}
		}
	}
	return v
}
