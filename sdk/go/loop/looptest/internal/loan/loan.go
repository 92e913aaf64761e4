// Package loan is the host's half of a conformance run: fakes of everything that a host lends to a plugin. They are
// served by hand, so that they can also hang, fail and give answers that the contract forbids. Each call of the plugin
// is checked against the contract and recorded.
//
// It knows the lent services. It must not know how a plugin is run, nor what any case expects.
package loan

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	_ "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1" // links the contract, as the next ones do
	_ "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	_ "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/breakage"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Object is a lent object. What Answer returns is sent unchanged, even a *wire.Frame.
type Object interface {
	Answer(ctx context.Context, method string, request proto.Message) (any, error)
}

// Call is one call by the plugin.
type Call struct {
	// Method is /package.Service/Method.
	Method string
	// Timeout is how long the caller gave; 0 means no limit.
	Timeout time.Duration
}

// Host holds the lent objects. It outlives the plugin's processes, as the host's names do.
type Host struct {
	mu     sync.Mutex
	lent   map[string]loan
	calls  []Call
	faults []string
	spoil  func(method string, answer proto.Message)
}

type loan struct {
	services []string
	object   Object
}

// NewHost returns a host that lends nothing.
func NewHost() *Host { return &Host{lent: map[string]loan{}} }

// Name returns a new name for an object of a type.
func Name(typ string) string { return typ + "/" + rand.Text() }

// Lend lends an object for some services and returns its name.
func (h *Host) Lend(typ string, o Object, services ...string) string {
	name := Name(typ)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lent[name] = loan{services, o}
	return name
}

// Calls returns the calls so far.
func (h *Host) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Spoil passes every answer through spoil, which may change it, before it is sent; nil ends that. Many goroutines call
// spoil.
func (h *Host) Spoil(spoil func(method string, answer proto.Message)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spoil = spoil
}

// TakeFaults returns how the plugin broke the contract, one sentence for each case, and forgets it.
func (h *Host) TakeFaults() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.faults
	h.faults = nil
	return f
}

func (h *Host) fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// Register serves every service of the contract's objects. It does not use the SDK's seam, which would correct what is
// to be tested.
func (h *Host) Register(r grpc.ServiceRegistrar) {
	for _, s := range wire.ObjectServices() {
		d := &grpc.ServiceDesc{ServiceName: string(s.FullName()), HandlerType: (*any)(nil)}
		for i := range s.Methods().Len() {
			d.Methods = append(d.Methods, h.method(s.Methods().Get(i)))
		}
		r.RegisterService(d, struct{}{})
	}
}

func (h *Host) method(m protoreflect.MethodDescriptor) grpc.MethodDesc {
	service := string(m.Parent().FullName())
	full := "/" + service + "/" + string(m.Name())
	return grpc.MethodDesc{MethodName: string(m.Name()),
		Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := breakage.New(m.Input())
			if err := dec(request); err != nil {
				if status.Code(err) == codes.Internal { // any other error means that the caller left before its message was whole
					h.fault("the plugin sent a request to %s that does not decode", full)
				}
				return nil, err
			}
			call := Call{Method: full}
			if at, ok := ctx.Deadline(); ok {
				call.Timeout = time.Until(at)
			}
			name := strings.Join(metadata.ValueFromIncomingContext(ctx, wire.ObjectKey), ",")
			h.mu.Lock()
			h.calls = append(h.calls, call)
			l, ok := h.lent[name]
			spoil := h.spoil
			h.mu.Unlock()
			if !ok || !slices.Contains(l.services, service) {
				h.fault("the plugin called %s on %q, which is not lent to it for that", full, name)
				return nil, status.Errorf(codes.NotFound, "no object %q is lent to this plugin", name)
			}
			if v := wire.Check(request); v != nil {
				h.fault("the plugin sent a request to %s that breaks the contract: %v", full, v)
				return nil, v.Status(m.Input().FullName()).Err()
			}
			answer, err := l.object.Answer(ctx, string(m.Name()), request)
			if a, ok := answer.(proto.Message); ok && err == nil && spoil != nil {
				own := proto.Clone(a) // the object may answer with what it keeps
				spoil(full, own)
				return own, nil
			}
			return answer, err
		}}
}

// Hold holds back the answers to calls.
type Hold struct {
	mu   sync.Mutex
	gate chan struct{} // nil: open

	// Arrived receives the context of each held call.
	Arrived chan context.Context
}

func newHold() Hold { return Hold{Arrived: make(chan context.Context, 256)} }

// Close holds new calls until Open.
func (h *Hold) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate == nil {
		h.gate = make(chan struct{})
	}
}

// Open releases the held calls and lets new ones through.
func (h *Hold) Open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gate != nil {
		close(h.gate)
		h.gate = nil
	}
}

func (h *Hold) pass(ctx context.Context) error {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate == nil {
		return nil
	}
	h.Arrived <- ctx
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
