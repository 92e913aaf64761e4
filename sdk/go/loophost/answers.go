package loophost

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// maxUnread is how many bytes of answers over gRPC the process may leave unread. gRPC takes an answer of any length
// from its handler at once, and keeps it until its caller's window has room.
const maxUnread = 24 << 20

// bounding is the codec of a server. It counts each answer until gRPC has written it and releases its bytes.
type bounding struct {
	encoding.CodecV2
	budget *budget
	memory *wire.Memory
}

// Marshal implements encoding.CodecV2.
func (c bounding) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.CodecV2.Marshal(v)
	size := data.Len()
	if err != nil || mem.IsBelowBufferPoolingThreshold(size) {
		return data, err
	}
	if size > wire.LongMessage {
		c.memory.Take(2 * size) // for the message, and for its encoding
	}
	if !c.budget.hold(size) {
		data.Free()
		return nil, fmt.Errorf("the answers over gRPC that the process has not read have at most %d bytes, and the %d of "+
			"this one are too many beside the others; read them", maxUnread, size)
	}
	var b []byte
	if len(data) == 1 {
		b = data[0].ReadOnlyData()
	} else {
		b = data.Materialize()
	}
	return mem.BufferSlice{mem.NewBuffer(&b, unread{c.budget, data, size})}, nil
}

// unread is a counted answer. To gRPC it is the pool to which the answer's bytes are given back.
type unread struct {
	budget *budget
	data   mem.BufferSlice
	size   int
}

// Get implements mem.BufferPool. Nobody gets from it.
func (unread) Get(length int) *[]byte {
	b := make([]byte, length)
	return &b
}

// Put implements mem.BufferPool.
func (u unread) Put(*[]byte) {
	u.data.Free()
	u.budget.read(u.size)
}
