package wire

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Bind returns the caller's end of the seam: a connection whose calls go to one object (or, with an empty name, to the
// plugin itself), obey the contract's deadlines, limits and field rules, and return errors that are gRPC statuses.
func Bind(cc grpc.ClientConnInterface, object string) grpc.ClientConnInterface {
	return &bound{cc: cc, object: object}
}

type bound struct {
	cc     grpc.ClientConnInterface
	object string
}

// Invoke implements grpc.ClientConnInterface.
func (b *bound) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if err := checkCall(method, args); err != nil {
		return err
	}
	call := newOutgoing(ctx, method, b.object)
	defer call.end()
	if err := b.cc.Invoke(call, method, args, reply, opts...); err != nil {
		return normalise(err)
	}
	return checkReply(method, reply)
}

// NewStream implements grpc.ClientConnInterface.
func (b *bound) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	if b.object != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, ObjectKey, b.object)
	}
	s, err := b.cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		cancel()
		return nil, normalise(err)
	}
	return &boundStream{ClientStream: s, method: method, cancel: cancel}, nil
}

// boundStream ends its stream with the first error: callers stop there and rely on it to free the rest, also when the
// error is the seam's own and the transport knows of none.
type boundStream struct {
	grpc.ClientStream
	method string
	cancel context.CancelFunc
}

// SendMsg implements grpc.ClientStream.
func (s *boundStream) SendMsg(m any) error {
	if err := checkCall(s.method, m); err != nil {
		s.cancel()
		return err
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg implements grpc.ClientStream.
func (s *boundStream) RecvMsg(m any) error {
	if err := s.ClientStream.RecvMsg(m); err != nil {
		s.cancel()
		return err // io.EOF included
	}
	if err := checkReply(s.method, m); err != nil {
		s.cancel()
		return err
	}
	return nil
}

// Deadline gives ctx the method's own timeout if it has no deadline yet.
func Deadline(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); !ok {
		if m, ok := MethodOf(method); ok && m.Timeout > 0 {
			return context.WithTimeout(ctx, m.Timeout)
		}
	}
	return context.WithCancel(ctx)
}

// checkCall checks a request against the contract before it leaves. Frames were checked by whoever made them, and are
// checked again by whoever decodes them.
func checkCall(method string, args any) error {
	if err := checkSize(method, "request", args); err != nil {
		return err
	}
	m, ok := args.(proto.Message)
	if !ok {
		return nil
	}
	if v := Check(m); v != nil {
		return v.Status(m.ProtoReflect().Descriptor().FullName()).Err()
	}
	return nil
}

func checkReply(method string, reply any) error {
	m, ok := reply.(proto.Message)
	if !ok {
		return nil
	}
	if v := Check(m); v != nil {
		return status.Errorf(codes.Internal, "the answer to %s breaks the contract: %s.%s", method,
			m.ProtoReflect().Descriptor().FullName(), v)
	}
	return nil
}

func checkSize(method, what string, v any) error {
	if n := size(v); n > MaxMessageBytes {
		return status.Errorf(codes.ResourceExhausted,
			"the %s of %s has %d bytes; the limit of a message is %d bytes (16 MiB)", what, method, n, MaxMessageBytes)
	}
	return nil
}

// normalise makes every error that leaves the seam a gRPC status, and an error of the caller's context CANCELLED or
// DEADLINE_EXCEEDED.
func normalise(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if s := status.FromContextError(err); s.Code() != codes.Unknown {
		return s.Err()
	}
	return status.Error(codes.Unknown, fmt.Sprint(err))
}
