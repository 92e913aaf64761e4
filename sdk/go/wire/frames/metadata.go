package frames

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// gRPC's functions ask a call's context for these keys, which have no names outside its packages. A call that answers
// them itself needs no context around it that holds what is rarely asked for.
var (
	metadataKey = keyOf(func(ctx context.Context) { metadata.FromIncomingContext(ctx) })
	streamKey   = keyOf(func(ctx context.Context) { grpc.ServerTransportStreamFromContext(ctx) })
)

type listener struct {
	context.Context
	key any
}

// Value implements context.Context.
func (l *listener) Value(key any) any {
	l.key = key
	return nil
}

// keyOf is the key that ask asks a context for.
func keyOf(ask func(context.Context)) any {
	l := &listener{Context: context.Background()}
	ask(l)
	return l.key
}

// hopByHop reports whether a metadata key belongs to one connection, or has a place of its own in a frame.
func hopByHop(key string) bool {
	switch key {
	case wire.ObjectKey, wire.GenerationKey, wire.DrainingKey, "content-type", "user-agent", "te", "":
		return true
	}
	return key[0] == ':' || strings.HasPrefix(key, "grpc-")
}

// appendPairs appends metadata to a head.
func appendPairs(b []byte, md metadata.MD) []byte {
	for key, values := range md {
		if hopByHop(key) {
			continue
		}
		for _, v := range values {
			b = appendText(appendText(b, key), v)
		}
	}
	return b
}

// pairsSize is what appendPairs appends.
func pairsSize(md metadata.MD) (n int) {
	for key, values := range md {
		if !hopByHop(key) {
			for _, v := range values {
				n += 4 + len(key) + len(v)
			}
		}
	}
	return n
}

// addPairs adds the pairs at a head's end to md, and makes it if it is nil and there is one.
func addPairs(md metadata.MD, head []byte) (metadata.MD, error) {
	for len(head) > 0 {
		key, rest, ok := cutText(head)
		value, rest, ok2 := cutText(rest)
		if !ok || !ok2 {
			return nil, malformed("the metadata of a frame is cut off")
		}
		if md == nil {
			md = metadata.MD{}
		}
		if !hopByHop(string(key)) {
			md[string(key)] = append(md[string(key)], string(value))
		}
		head = rest
	}
	return md, nil
}
