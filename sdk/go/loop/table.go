package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Binding is one service that an object serves.
type Binding struct {
	Desc *grpc.ServiceDesc
	Impl any
}

// Child is a new object.
type Child[R proto.Message] struct {
	// Value is the author's object. If it is an io.Closer it is closed when the host releases it and its last call has
	// ended.
	Value any
	// Bindings are the services that the object serves.
	Bindings []Binding
	// Response is the constructor's answer.
	Response R
}

// Create makes an object by the name that the host chose. The same name with the same request joins the constructor or
// repeats the first answer; with another request Create returns ALREADY_EXISTS, and after the name's release
// FAILED_PRECONDITION. Generated code calls it.
func Create[R proto.Message](ctx context.Context, h *Host, method, name string, request proto.Message,
	construct func(context.Context) (*Child[R], error)) (R, error) {
	var none R
	made, err := h.objects.create(ctx, method, name, request, func(ctx context.Context) (*object, error) {
		child, err := construct(ctx)
		if err != nil {
			return nil, err
		}
		o := &object{value: child.Value, response: child.Response, services: map[string]any{}}
		for _, b := range child.Bindings {
			o.services[b.Desc.ServiceName] = b.Impl
		}
		return o, nil
	})
	if err != nil {
		return none, err
	}
	return made.(R), nil
}

// table holds the objects of a process by name.
type table struct {
	logger *slog.Logger

	mu      sync.Mutex
	root    map[string]any // services of the plugin itself
	objects map[string]*object
	// released holds the names of released objects: a create that arrives after the release of its name must not bring the
	// object back. It is emptied only when another host comes; a name takes some 100 bytes.
	released map[string]struct{}
}

// object is one entry: under construction until done is closed, then either made or failed and gone.
type object struct {
	name     string
	parent   *object // nil under the root
	request  []byte
	done     chan struct{}
	err      error
	value    any
	services map[string]any
	response proto.Message
	ctx      context.Context // ends at release
	release  context.CancelFunc

	left     func() // a call has ended
	calls    int
	released bool
	children map[string]struct{}
	// open counts the children that are not closed yet, those under construction included: they may still use this object.
	open int
}

// unusedLocked reports whether nobody will use an object any more, so that it is to be closed. After the release, each
// other condition comes true once and stays true: only the caller that makes the last one true finds the object unused.
func (o *object) unusedLocked() bool { return o.released && o.calls == 0 && o.open == 0 && isDone(o) }

func newTable(logger *slog.Logger) *table {
	return &table{logger: logger, root: map[string]any{}, objects: map[string]*object{}, released: map[string]struct{}{}}
}

func (t *table) create(ctx context.Context, method, name string, request proto.Message,
	construct func(context.Context) (*object, error)) (proto.Message, error) {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the request does not encode: %v", err)
	}
	encoded = append([]byte(method), encoded...)
	parent := wire.ObjectOf(ctx)
	t.mu.Lock()
	if _, dead := t.released[name]; dead {
		t.mu.Unlock()
		return nil, status.Errorf(codes.FailedPrecondition, "object %s was released", name)
	}
	if p := t.objects[parent]; parent != "" && (p == nil || !isDone(p)) {
		t.mu.Unlock()
		return nil, notFound(parent)
	}
	o, exists := t.objects[name]
	if !exists {
		o = &object{name: name, parent: t.objects[parent], request: encoded, done: make(chan struct{}),
			children: map[string]struct{}{}}
		o.ctx, o.release = context.WithCancel(context.Background())
		o.left = func() { t.leave(o) }
		t.objects[name] = o
		if o.parent != nil {
			o.parent.children[name] = struct{}{}
			o.parent.open++
		}
		// The constructor runs on the method's own deadline: a caller that goes away must not leave half an object.
		detached, cancel := wire.Deadline(context.WithoutCancel(ctx), method)
		go func() {
			defer cancel()
			t.construct(detached, o, construct)
		}()
	}
	t.mu.Unlock()
	if exists && string(o.request) != string(encoded) {
		return nil, status.Errorf(codes.AlreadyExists, "object %s was made by another request", name)
	}
	select {
	case <-o.done:
		if o.err != nil {
			return nil, o.err
		}
		return o.response, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (t *table) construct(ctx context.Context, o *object, construct func(context.Context) (*object, error)) {
	made, err := func() (made *object, err error) {
		defer func() {
			if p := recover(); p != nil {
				t.logger.Error("a constructor panicked", "object", o.name, "panic", p)
				err = status.Errorf(codes.Internal, "the constructor panicked: %v", p)
			}
		}()
		return construct(ctx)
	}()
	t.mu.Lock()
	if err != nil {
		if _, ok := status.FromError(err); !ok {
			err = status.FromContextError(err).Err() // UNKNOWN if it is none
		}
		o.err = err
		o.released = true
		t.forgetLocked(o)
	} else {
		o.value, o.services, o.response = made.value, made.services, made.response
		// Released while it was being made: nobody may see it, and what was made must be closed.
		if o.released {
			o.err = status.Errorf(codes.FailedPrecondition, "object %s was released", o.name)
		}
	}
	close(o.done)
	unused := o.unusedLocked()
	t.mu.Unlock()
	if unused {
		t.end(o)
	}
}

// forgetLocked removes an entry.
func (t *table) forgetLocked(o *object) {
	if t.objects[o.name] == o {
		delete(t.objects, o.name)
	}
	if o.parent != nil {
		delete(o.parent.children, o.name)
	}
	o.release()
}

// releaseAll releases names and ends their objects, children before parents.
func (t *table) releaseAll(names []string) {
	var ended []*object
	t.mu.Lock()
	for _, n := range names {
		ended = t.releaseLocked(n, ended)
	}
	t.mu.Unlock()
	for _, o := range ended {
		t.end(o)
	}
}

// releaseLocked marks a name and its children as released and appends those that nobody uses any more. Their parents
// follow when they are closed.
func (t *table) releaseLocked(name string, ended []*object) []*object {
	t.released[name] = struct{}{}
	o := t.objects[name]
	if o == nil || o.released {
		return ended
	}
	for child := range o.children {
		ended = t.releaseLocked(child, ended)
	}
	o.released = true
	t.forgetLocked(o)
	if o.unusedLocked() {
		ended = append(ended, o)
	}
	return ended
}

func isDone(o *object) bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// end closes an object that nobody uses any more, and then its parent if that waited only for it.
func (t *table) end(o *object) {
	t.close(o)
	t.left(o.parent)
}

// left tells an object, which may be nil, that one of its children is gone.
func (t *table) left(o *object) {
	if o == nil {
		return
	}
	t.mu.Lock()
	o.open--
	unused := o.unusedLocked()
	t.mu.Unlock()
	if unused {
		t.end(o)
	}
}

// close ends the author's object.
func (t *table) close(o *object) {
	c, ok := o.value.(io.Closer)
	if !ok {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			t.logger.Error("closing an object panicked", "object", o.name, "panic", p)
		}
	}()
	if err := c.Close(); err != nil {
		t.logger.Warn("closing an object failed", "object", o.name, "error", err)
	}
}

// Resolve implements wire.Resolver.
func (t *table) Resolve(service, name string) (wire.Target, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if impl, ok := t.root[service]; ok {
		return wire.Target{Impl: impl}, nil
	}
	if name == "" {
		return wire.Target{}, status.Errorf(codes.InvalidArgument, "a call on %s names no object in %s", service,
			wire.ObjectKey)
	}
	o := t.objects[name]
	if o == nil || !isDone(o) || o.err != nil {
		return wire.Target{}, notFound(name)
	}
	impl, ok := o.services[service]
	if !ok {
		return wire.Target{}, status.Errorf(codes.NotFound, "object %s does not serve %s", name, service)
	}
	o.calls++
	return wire.Target{Impl: impl, Context: o.ctx, Done: o.left}, nil
}

func (t *table) leave(o *object) {
	t.mu.Lock()
	o.calls--
	unused := o.unusedLocked()
	t.mu.Unlock()
	if unused {
		t.end(o)
	}
}

// restart ends every object and forgets the released names: the next host may use the same names again.
func (t *table) restart() {
	t.closeAll()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.released = map[string]struct{}{}
}

// closeAll ends every object, before the process ends or another host comes.
func (t *table) closeAll() {
	t.mu.Lock()
	names := make([]string, 0, len(t.objects))
	for n := range t.objects {
		names = append(names, n)
	}
	t.mu.Unlock()
	t.releaseAll(names)
}

func notFound(name string) error {
	return status.Errorf(codes.NotFound, "there is no object %s", name)
}

// errEmptyChild tells an author that a constructor answered neither an object nor an error.
var errEmptyChild = errors.New("the constructor returned neither an object nor an error")

// Made joins a constructor's results for generated code, and refuses an object that is nil.
func Made[R proto.Message](value any, response R, err error, bindings ...Binding) (*Child[R], error) {
	if err != nil {
		return nil, err
	}
	if value == nil || !response.ProtoReflect().IsValid() {
		return nil, fmt.Errorf("%T: %w", value, errEmptyChild)
	}
	return &Child[R]{Value: value, Bindings: bindings, Response: response}, nil
}
