package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// LongMessage is the size in bytes from which a message is long. Such messages are few, and are bounded one by one.
	LongMessage = 32 << 10
	// maxElements is how many elements of lists and messages within it a message may have: 2000 reports of OCR3 with the
	// schedules of 31 oracles each have half as many.
	maxElements = 1 << 18
	// checkedMessage is the size in bytes above which the elements of a message are counted. Shorter ones cost little.
	checkedMessage = 4 << 10
	// elementBytes is what an element takes besides its own bytes, roughly.
	elementBytes = 128
)

// Decode reads a message from bytes, which it does not keep. An element that takes two bytes in a message may take a
// hundred when it is decoded, so lists that are longer than the contract's rules are refused first.
func Decode(b []byte, m proto.Message, memory *Memory) error {
	elements := 0
	if len(b) > checkedMessage {
		if err := count(b, m.ProtoReflect().Descriptor(), &elements); err != nil {
			return err
		}
	}
	if len(b) > LongMessage {
		memory.Take(len(b) + elements*elementBytes)
	}
	return proto.Unmarshal(b, m)
}

// count counts the elements of an encoded message. The decoder reports what is malformed.
func count(b []byte, d protoreflect.MessageDescriptor, elements *int) error {
	rules, lists := plan(d), map[protowire.Number]int{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil
		}
		value := b[:n]
		b = b[n:]
		f := d.Fields().ByNumber(number)
		if f == nil || f.Message() == nil && !f.IsList() {
			continue
		}
		more := 1
		if f.IsList() && f.Message() == nil && f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind {
			more = len(value) // packed numbers take a byte each or more
		}
		if *elements += more; *elements > maxElements {
			return fmt.Errorf("the message %s has more than %d elements", d.FullName(), maxElements)
		}
		if f.IsList() {
			lists[number]++
			// If a list is only a little too long, Check names the place.
			if most := maxLen(rules, f); most > 0 && lists[number] > 2*most {
				return fmt.Errorf("%s.%s: has more than %d elements; the limit is %d", d.FullName(), f.Name(), 2*most, most)
			}
		}
		if f.Message() != nil && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(value)
			if err := count(inner, f.Message(), elements); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxLen is the bound of a list in the rules of a message; 0 if it has none.
func maxLen(rules []rule, list protoreflect.FieldDescriptor) int {
	for _, r := range rules {
		if r.field == list {
			return int(r.rules.GetMaxLen())
		}
	}
	return 0
}
