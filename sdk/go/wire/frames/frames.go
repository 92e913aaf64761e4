// Package frames is the second transport below the seam: unary calls as length-prefixed frames, many at once on one
// connection, on the same socket and certificate as gRPC and chosen by ALPN. docs/wire.md is its specification. Streams
// and everything else that frames do not support stay on gRPC, which every peer has.
//
// It knows bytes, connections and metadata. It must not know objects, loans or generations: Bind and Dispatcher are the
// same above both transports.
package frames

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Protocol is the transport's name in ALPN.
const Protocol = "loop/1"

// Kinds of frames.
const (
	kindRequest  byte = 1 + iota // head: method, object, the caller's metadata
	kindResponse                 // an answer; head: trailers
	kindError                    // an answer: its payload is a google.rpc.Status
	kindCancel                   // the caller does not want the answer any more; it comes all the same
	kindChunk                    // goes on with the message of its id
)

// Flags of frames.
const (
	flagMore       byte = 1 << iota // chunks follow; the head begins with the length of the whole message
	flagDraining                    // of an error: the server is draining, and the call was not begun
	flagGeneration                  // of an answer: aux is the generation of who answered
)

const (
	headerSize = 16
	lengthSize = 4        // of a frame's length, which does not count itself
	maxHead    = 8 << 10  // bytes of a head
	maxChunk   = 32 << 10 // bytes of a frame's payload
	maxFrame   = headerSize + maxHead + maxChunk

	// maxOpen is how many calls of a connection may be unanswered. A caller waits; a server ends the connection of one who
	// does not. It is more than a node of a thousand feeds has open on a relayer whose chain does not answer.
	maxOpen = 16384
	// reserved is how many of them are for health checks alone, which wait for no other call: whoever may call an object
	// of a plugin could otherwise have that plugin killed as one that hangs, by calls that fill the connection.
	reserved = 16
	// maxBytes is how many bytes the requests of unanswered calls may have at their caller, and maxServed at their server,
	// of all its connections together: what counts as answered at the one may not have been written by the other. One
	// message of the longest leaves room for many usual ones, and whoever sends all that it can costs a host little.
	maxBytes  = 18 << 20
	maxServed = 24 << 20
	// maxAnswers is how many bytes of answers a caller may leave unread, or may be receiving.
	maxAnswers = 24 << 20
	// maxPassed is how many bytes more the requests of a single frame may have, which pass those that wait for bytes.
	// Without it a health check would wait for a long request that waits for another one, and so would a call that a
	// handler needs to answer either.
	maxPassed = 2 << 20
	// maxQueue is how many bytes wait to be written before those who would add more wait too.
	maxQueue = 256 << 10
	// maxLong is the same for the chunks of long messages: what comes after them waits for no more.
	maxLong = 2 * maxChunk
	// A socket's buffer takes this many calls and bytes at once.
	directCalls = 64
	directBytes = 64 << 10
)

// healthCheck is the method of health checks.
const healthCheck = "/grpc.health.v1.Health/Check"

// header is the fixed part of a frame.
type header struct {
	id          uint32
	kind, flags byte
	// aux is a request's remaining time in microseconds (0: no limit) and an answer's generation.
	aux uint32
}

// frame is a frame as it was read. Its slices belong to the reader, and are valid until it reads on.
type frame struct {
	header
	head, payload []byte
}

func appendHeader(b []byte, h header, head, payload int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(headerSize-lengthSize+head+payload))
	b = binary.LittleEndian.AppendUint32(b, h.id)
	b = append(b, h.kind, h.flags)
	b = binary.LittleEndian.AppendUint16(b, uint16(head))
	return binary.LittleEndian.AppendUint32(b, h.aux)
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

// hangUp closes a connection without TLS's notice of the end, which would wait for room in the socket's buffer.
func hangUp(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.Close() // nothing is lost: the other side sees the end
}

// cutText takes a text off the front of a head.
func cutText(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

// cutWhole takes the length of a message off the head of its first frame.
func cutWhole(f *frame) (int, error) {
	if len(f.head) < 4 {
		return 0, malformed("a first frame has no place for the length of its message")
	}
	n := binary.LittleEndian.Uint32(f.head)
	f.head = f.head[4:]
	switch {
	case n > wire.MaxMessageBytes:
		return 0, malformed("a message of %d bytes is announced; the limit is %d", n, wire.MaxMessageBytes)
	case int(n) <= len(f.payload) || len(f.payload) == 0:
		return 0, malformed("a message of %d bytes begins with %d of them and says that more follow", n, len(f.payload))
	}
	return int(n), nil
}

// checkChunk checks a chunk against the whole length of its message, of which come bytes have arrived.
func checkChunk(come, whole int, f *frame) error {
	n, more := come+len(f.payload), f.flags&flagMore != 0
	if len(f.payload) == 0 || n > whole || more == (n == whole) {
		return malformed("a chunk takes a message of %d bytes to %d and says that more follow: %t", whole, n, more)
	}
	return nil
}

// brokenError is a peer that does not keep to the protocol.
type brokenError struct{ how string }

func (e *brokenError) Error() string { return "the other side broke the protocol loop/1: " + e.how }

func malformed(format string, args ...any) error { return &brokenError{fmt.Sprintf(format, args...)} }

// reader cuts frames out of a connection.
type reader struct {
	nc       net.Conn
	buf      []byte
	from, to int // what was received and not cut yet
}

func newReader(nc net.Conn) *reader { return &reader{nc: nc, buf: make([]byte, 2*maxFrame)} }

// next waits for a frame. Its error is the connection's, or says how the frame is malformed.
func (r *reader) next() (frame, error) {
	for {
		b := r.buf[r.from:r.to]
		if len(b) >= lengthSize {
			n := binary.LittleEndian.Uint32(b)
			if n < headerSize-lengthSize || n > maxFrame-lengthSize {
				return frame{}, malformed("a frame of %d bytes", n)
			}
			if end := lengthSize + int(n); len(b) >= end {
				r.from += end
				return cut(b[:end])
			}
		}
		if r.from == r.to {
			r.from, r.to = 0, 0
		} else if len(r.buf)-r.from < maxFrame {
			r.from, r.to = 0, copy(r.buf, b)
		}
		n, err := r.nc.Read(r.buf[r.to:])
		if r.to += n; err != nil && n == 0 {
			return frame{}, err
		}
	}
}

func cut(b []byte) (frame, error) {
	middle := headerSize + int(binary.LittleEndian.Uint16(b[10:]))
	if middle > len(b) || middle > headerSize+maxHead || len(b)-middle > maxChunk {
		return frame{}, malformed("a frame of %d bytes with a head of %d", len(b), middle-headerSize)
	}
	f := frame{header: header{id: binary.LittleEndian.Uint32(b[4:]), kind: b[8], flags: b[9],
		aux: binary.LittleEndian.Uint32(b[12:])}}
	f.head, f.payload = b[headerSize:middle], b[middle:]
	return f, nil
}
