package wire

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that frameCodec wraps
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Frame is a message that is passed on undecoded. The host forwards calls between plugins as frames.
type Frame struct{ Data mem.BufferSlice }

// frameCodec passes frames through and leaves messages to the proto codec, long ones to Decode.
type frameCodec struct {
	encoding.CodecV2
	memory *Memory
}

// Codec returns the codec of every connection of the contract. Its name on the wire is proto.
func Codec() encoding.CodecV2 { return CodecWithin(nil) }

// CodecWithin returns the codec of a connection whose long messages are bounded by memory.
func CodecWithin(memory *Memory) encoding.CodecV2 {
	return frameCodec{encoding.GetCodecV2("proto"), memory}
}

// Marshal implements encoding.CodecV2.
func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*Frame); ok {
		f.Data.Ref()
		return f.Data, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*Frame); ok {
		data.Ref()
		f.Data = data
		return nil
	}
	m, ok := v.(proto.Message)
	if !ok || data.Len() <= checkedMessage {
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() > LongMessage {
		c.memory.Take(data.Len())
	}
	return Decode(data.Materialize(), m, c.memory)
}

// Cloner copies messages between the two halves of an in-process call, even if one half forwards frames. It implements
// inprocgrpc.Cloner.
type Cloner struct{}

// Copy implements inprocgrpc.Cloner.
func (Cloner) Copy(out, in any) error {
	switch o := out.(type) {
	case *Frame:
		switch i := in.(type) {
		case *Frame:
			i.Data.Ref()
			o.Data = i.Data
			return nil
		case proto.Message:
			b, err := proto.Marshal(i)
			o.Data = mem.BufferSlice{mem.SliceBuffer(b)}
			return err
		}
	case proto.Message:
		switch i := in.(type) {
		case *Frame:
			if err := proto.Unmarshal(i.Data.Materialize(), o); err != nil {
				return status.Errorf(codes.Internal, "the message does not decode: %v", err) // as between processes
			}
			return nil
		case proto.Message:
			proto.Reset(o)
			proto.Merge(o, i)
			return nil
		}
	}
	return fmt.Errorf("wire: cannot copy %T to %T", in, out)
}

// Clone implements inprocgrpc.Cloner.
func (c Cloner) Clone(in any) (any, error) {
	switch i := in.(type) {
	case *Frame:
		f := &Frame{}
		return f, c.Copy(f, i)
	case proto.Message:
		return proto.Clone(i), nil
	}
	return nil, fmt.Errorf("wire: cannot clone %T", in)
}

// size is the number of bytes that v takes on the wire.
func size(v any) int {
	switch m := v.(type) {
	case *Frame:
		return m.Data.Len()
	case proto.Message:
		return proto.Size(m)
	}
	return 0
}
