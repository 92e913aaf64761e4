package frames

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// buffers are for messages on their way: without them, large ones would spend most of their time in the garbage
// collector.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keptBuffer is the largest buffer that is kept for another message: of 1 MiB in a field, with what stands around it.
const keptBuffer = 1<<20 + 64<<10

func getBuffer() *[]byte { return buffers.Get().(*[]byte) }

func putBuffer(b *[]byte) {
	if cap(*b) > keptBuffer {
		return
	}
	*b = (*b)[:0]
	buffers.Put(b)
}

// encode makes the bytes of a message. Its second result, if it is not nil, is given back by putBuffer when they have
// been sent.
func encode(v any) ([]byte, *[]byte, error) {
	switch m := v.(type) {
	case *wire.Frame:
		if len(m.Data) == 1 {
			return m.Data[0].ReadOnlyData(), nil, nil
		}
		return m.Data.Materialize(), nil, nil
	case proto.Message:
		buffer := getBuffer()
		b, err := proto.MarshalOptions{}.MarshalAppend((*buffer)[:0], m)
		if err != nil {
			putBuffer(buffer)
			return nil, nil, status.Errorf(codes.Internal, "the message does not encode: %v", err)
		}
		*buffer = b
		return b, buffer, nil
	}
	return nil, nil, status.Errorf(codes.Internal, "%T is not a message", v)
}

// decode reads a message from bytes that it does not keep. A long one takes memory.
func decode(b []byte, v any, memory *wire.Memory) error {
	switch m := v.(type) {
	case *wire.Frame:
		m.Data = mem.BufferSlice{mem.SliceBuffer(append(make([]byte, 0, len(b)), b...))}
		return nil
	case proto.Message:
		return wire.Decode(b, m, memory)
	}
	return fmt.Errorf("%T is not a message", v)
}

// keep reads a message from bytes that it may keep.
func keep(b []byte, v any, memory *wire.Memory) error {
	if f, ok := v.(*wire.Frame); ok {
		f.Data = mem.BufferSlice{mem.SliceBuffer(b)}
		return nil
	}
	return decode(b, v, memory)
}

func tooLarge(what, method string, n int) error {
	return status.Errorf(codes.ResourceExhausted, "the %s of %s has %d bytes; the limit of a message is %d bytes (16 MiB)",
		what, method, n, wire.MaxMessageBytes)
}
