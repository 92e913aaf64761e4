package frames

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// budget is what a server holds for its callers, on all connections together.
type budget struct {
	calls    atomic.Int64 // that are not answered
	requests atomic.Int64 // bytes of those, and of their heads where these count
	answers  atomic.Int64 // bytes of those that are not written
	decoding sync.Mutex   // of one long request at a time, which is held twice meanwhile
}

const (
	// callCost is what an open call takes besides its request, in bytes: a goroutine and its records.
	callCost = 1 << 10
	// usualHead is how long heads are of those who mean well, in bytes. Of longer ones each byte may cost headCost: six of
	// them are an entry of a map, and an error that quotes a name has four bytes for one.
	usualHead, headCost = 256, 24
	// longestName is how long the name of an object may be, in bytes.
	longestName = 256
)

// costOf is what a call takes whose head has so many bytes.
func costOf(head int) int { return callCost + headCost*max(0, head-usualHead) }

// admit counts a request, if there is room for it.
func (b *budget) admit(size int) bool { return add(&b.requests, size, maxServed) }

// hold counts an answer, if there is room for it.
func (b *budget) hold(size int) bool { return add(&b.answers, size, maxAnswers) }

func add(to *atomic.Int64, size int, most int64) bool {
	if to.Add(int64(size)) > most {
		to.Add(-int64(size))
		return false
	}
	return true
}

// keep decodes a long request from bytes that it may keep.
func (s *Server) keep(b []byte, v any) error {
	if _, forwarded := v.(*wire.Frame); !forwarded && s.memory != nil {
		s.served.decoding.Lock()
		defer s.served.decoding.Unlock()
	}
	return keep(b, v, s.memory)
}

// freeLocked reports whether there is room for a call.
func (c *Conn) freeLocked(size int) bool {
	return len(c.calls) < maxOpen-reserved && (c.sharedLocked(size) || size <= maxChunk && c.passed+size <= maxPassed)
}

// sharedLocked reports whether there is room for a call that passes no other: a small one takes no room from a long one
// that waits.
func (c *Conn) sharedLocked(size int) bool {
	return c.bytes-c.passed+size <= maxBytes && (size > maxChunk || len(c.slots.waiting) == 0)
}

// forgetLocked ends the count of an answered call.
func (c *Conn) forgetLocked(id uint32, k *call) {
	delete(c.calls, id)
	c.bytes -= k.size
	if k.passed {
		c.passed -= k.size
	}
	c.slots.wakeLocked()
	c.small.wakeLocked()
}

// growLocked takes a part of an answer that comes in chunks, or ends its call if there is no room for it.
func (c *Conn) growLocked(k *call, f *frame) (err error) {
	if f.kind == kindChunk {
		if err := checkChunk(len(k.message), k.whole, f); err != nil {
			return err
		}
		k.message = append(k.message, f.payload...)
		return nil
	}
	if k.whole, err = cutWhole(f); err != nil {
		return err
	}
	if c.memory == nil {
		// It grows as it comes: what is announced costs nothing yet.
		k.message = append(make([]byte, 0, min(k.whole, 2*maxChunk)), f.payload...)
		return nil
	}
	if c.long+k.whole > maxAnswers {
		c.giveLocked(f.id, k, status.Errorf(codes.ResourceExhausted, "the answers of a process that come at a time have at "+
			"most %d bytes, and the %d of %s are too many beside the others", maxAnswers, k.whole, k.method))
		return nil
	}
	k.counted = k.whole
	c.long += k.counted
	c.memory.Take(k.whole)
	k.message = append(make([]byte, 0, k.whole), f.payload...)
	return nil
}

// dropLocked ends the count of a long answer.
func (c *Conn) dropLocked(k *call) {
	if c.err == nil {
		c.long -= k.counted
	}
	k.counted = 0
}
