package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Target is where a call goes: to an implementation in this process, or on to another connection.
type Target struct {
	// Impl implements the service's server interface; nil if the call is forwarded.
	Impl any
	// Forward takes the call's frames; nil if the call is served here.
	Forward grpc.ClientConnInterface
	// Done is called when the call has ended.
	Done func()
	// Context, if set, ends streams of the target when it ends.
	Context context.Context
}

// Resolver finds targets. object is empty for calls to the plugin itself. Its errors are gRPC statuses.
type Resolver interface {
	Resolve(service, object string) (Target, error)
}

// DispatcherSettings configure a Dispatcher.
type DispatcherSettings struct {
	Resolver Resolver
	Logger   *slog.Logger
	// Observe, if not nil, is called for every call that was served or forwarded.
	Observe func(method string, code codes.Code, took time.Duration)
}

// Dispatcher is the server's end of the seam. Every service of the contract is registered through it: it recovers
// panics, checks requests against the field rules, finds the target, answers the generation and refuses calls while it
// drains.
type Dispatcher struct {
	settings   DispatcherSettings
	mu         sync.Mutex
	generation string
	trailer    metadata.MD // of every answer; nobody changes it
	draining   string
	calls      int
	idle       chan struct{} // closed when draining and no call is left
}

// NewDispatcher returns a dispatcher that serves at once.
func NewDispatcher(s DispatcherSettings) *Dispatcher {
	return &Dispatcher{settings: s, idle: make(chan struct{}), trailer: metadata.Pairs(GenerationKey, "")}
}

// SetGeneration sets the generation that answers carry from now on.
func (d *Dispatcher) SetGeneration(g uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation = strconv.FormatUint(g, 10)
	d.trailer = metadata.Pairs(GenerationKey, d.generation)
}

// Drain refuses new calls as UNAVAILABLE with the reason and waits until those in flight have ended or ctx has.
func (d *Dispatcher) Drain(ctx context.Context, reason string) error {
	d.mu.Lock()
	if d.draining == "" {
		d.draining = reason
		if d.calls == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter counts a call. The returned trailer is for its answer.
func (d *Dispatcher) enter() (trailer metadata.MD, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining != "" {
		return metadata.Pairs(GenerationKey, d.generation, DrainingKey, d.generation), status.Error(codes.Unavailable,
			d.draining)
	}
	d.calls++
	return d.trailer, nil
}

func (d *Dispatcher) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls--; d.calls == 0 && d.draining != "" {
		close(d.idle)
	}
}

// Register serves a service on a registrar: the handlers of desc, behind the seam.
func (d *Dispatcher) Register(registrar grpc.ServiceRegistrar, desc *grpc.ServiceDesc) {
	through := &grpc.ServiceDesc{ServiceName: desc.ServiceName, HandlerType: (*any)(nil), Metadata: desc.Metadata}
	for _, m := range desc.Methods {
		full := "/" + desc.ServiceName + "/" + m.MethodName
		through.Methods = append(through.Methods, grpc.MethodDesc{MethodName: m.MethodName,
			Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return d.unary(ctx, desc.ServiceName, full, dec, m.Handler)
			}})
	}
	for _, s := range desc.Streams {
		full := "/" + desc.ServiceName + "/" + s.StreamName
		handler := s.Handler
		s.Handler = func(_ any, stream grpc.ServerStream) error {
			return d.stream(stream, desc.ServiceName, full, handler)
		}
		through.Streams = append(through.Streams, s)
	}
	registrar.RegisterService(through, struct{}{})
}

func (d *Dispatcher) unary(ctx context.Context, service, full string, dec func(any) error,
	handler grpc.MethodHandler) (reply any, err error) {
	begin := time.Now()
	trailer, err := d.enter()
	defer func() {
		_ = grpc.SetTrailer(ctx, trailer) // fails only where there is no transport to tell
		if d.settings.Observe != nil {
			d.settings.Observe(full, status.Code(err), time.Since(begin))
		}
	}()
	if err != nil {
		return nil, err
	}
	defer d.leave()
	defer d.recover(full, &err)
	target, err := d.settings.Resolver.Resolve(service, ObjectOf(ctx))
	if err != nil {
		return nil, err
	}
	if target.Done != nil {
		defer target.Done()
	}
	if target.Forward != nil {
		return forwardUnary(ctx, target.Forward, full, dec)
	}
	reply, err = handler(target.Impl, ctx, checked(dec), nil)
	if err != nil {
		return nil, overdue(ctx, normalise(err))
	}
	if m, ok := reply.(proto.Message); !ok || !m.ProtoReflect().IsValid() {
		return nil, status.Errorf(codes.Internal, "%s answered neither a message nor an error", full)
	}
	if err := checkReply(full, reply); err != nil {
		return nil, err
	}
	if err := checkSize(full, "answer", reply); err != nil {
		return nil, err
	}
	return reply, nil
}

func (d *Dispatcher) stream(stream grpc.ServerStream, service, full string, handler grpc.StreamHandler) (err error) {
	begin := time.Now()
	trailer, err := d.enter()
	stream.SetTrailer(trailer)
	defer func() {
		if d.settings.Observe != nil {
			d.settings.Observe(full, status.Code(err), time.Since(begin))
		}
	}()
	if err != nil {
		return err
	}
	// A stream lives until its caller goes: it is not a call in flight that draining would wait for.
	d.leave()
	defer d.recover(full, &err)
	target, err := d.settings.Resolver.Resolve(service, ObjectOf(stream.Context()))
	if err != nil {
		return err
	}
	if target.Done != nil {
		defer target.Done()
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if target.Context != nil {
		defer context.AfterFunc(target.Context, cancel)()
	}
	if target.Forward != nil {
		err = forwardStream(ctx, stream, target.Forward, full)
	} else {
		err = handler(target.Impl, &checkedStream{ServerStream: stream, ctx: ctx, method: full})
	}
	if err == nil {
		return nil
	}
	if err = normalise(err); status.Code(err) == codes.Canceled && stream.Context().Err() == nil && ctx.Err() != nil {
		// CANCELLED would mean that the caller itself has left.
		return status.Errorf(codes.Unavailable, "%s ended with the object that it was called on", full)
	}
	return err
}

// overdue gives an error DEADLINE_EXCEEDED or CANCELLED as its code if the caller's time is over. Handlers wrap errors
// that come from a lack of time, and those would read as faults of the service.
func overdue(ctx context.Context, err error) error {
	if code := status.Code(err); code != codes.Unavailable && code != codes.Unknown {
		return err
	}
	deadline, ok := ctx.Deadline()
	switch {
	case ok && !time.Now().Before(deadline):
		return status.Error(codes.DeadlineExceeded, status.Convert(err).Message())
	case ctx.Err() != nil:
		return status.Error(codes.Canceled, status.Convert(err).Message())
	}
	return err
}

// recover turns a panic of a handler into INTERNAL: bad input must never end a process.
func (d *Dispatcher) recover(full string, err *error) {
	if p := recover(); p != nil {
		d.settings.Logger.Error("a handler panicked", "method", full, "panic", p, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s panicked: %v", full, p)
	}
}

// checked checks what dec decodes against the contract.
func checked(dec func(any) error) func(any) error {
	return func(v any) error {
		if err := dec(v); err != nil {
			if status.Code(err) == codes.ResourceExhausted {
				return err
			}
			return status.Errorf(codes.InvalidArgument, "the request does not decode: %v", err)
		}
		return checkDecoded(v)
	}
}

func checkDecoded(v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return nil
	}
	if bad := Check(m); bad != nil {
		return bad.Status(m.ProtoReflect().Descriptor().FullName()).Err()
	}
	return nil
}

type checkedStream struct {
	grpc.ServerStream
	ctx    context.Context
	method string
}

// Context implements grpc.ServerStream.
func (s *checkedStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return checkDecoded(m)
}

// SendMsg implements grpc.ServerStream.
func (s *checkedStream) SendMsg(m any) error {
	if err := checkReply(s.method, m); err != nil {
		return err
	}
	if err := checkSize(s.method, "answer", m); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// onward carries the caller's metadata to the next hop, without what belongs to one hop.
func onward(ctx context.Context) context.Context {
	if in, ok := ctx.Value(IncomingKey).(Incoming); ok && in.Bare() {
		return ctx
	}
	in, _ := metadata.FromIncomingContext(ctx)
	out := metadata.MD{}
	for k, v := range in {
		switch {
		case k == ObjectKey, k == "content-type", k == "user-agent", k[0] == ':', len(k) > 5 && k[:5] == "grpc-":
		default:
			out[k] = v
		}
	}
	return metadata.NewOutgoingContext(ctx, out)
}

func forwardUnary(ctx context.Context, to grpc.ClientConnInterface, full string, dec func(any) error) (any, error) {
	in, out := &Frame{}, &Frame{}
	if err := dec(in); err != nil {
		return nil, err
	}
	defer in.Data.Free()
	if err := to.Invoke(onward(ctx), full, in, out); err != nil {
		return nil, normalise(err)
	}
	return out, nil
}

func forwardStream(ctx context.Context, from grpc.ServerStream, to grpc.ClientConnInterface, full string) error {
	ctx, cancel := context.WithCancel(onward(ctx))
	defer cancel()
	out, err := to.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return normalise(err)
	}
	go func() {
		for {
			f := &Frame{}
			if err := from.RecvMsg(f); err != nil {
				if errors.Is(err, io.EOF) {
					_ = out.CloseSend() // the other direction reports what is wrong
				} else {
					cancel()
				}
				return
			}
			err := out.SendMsg(f)
			f.Data.Free()
			if err != nil {
				return
			}
		}
	}()
	for {
		f := &Frame{}
		if err := out.RecvMsg(f); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return normalise(err)
		}
		err := from.SendMsg(f)
		f.Data.Free()
		if err != nil {
			return err
		}
	}
}
