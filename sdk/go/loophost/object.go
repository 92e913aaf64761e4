package loophost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/cenkalti/backoff/v5"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Maker is what has constructors: a Plugin or an Object.
type Maker interface {
	grpc.ClientConnInterface
	// Create makes an object and returns its handle at once. Generated constructors call it.
	Create(c Constructor, options ...CreateOption) *Object
}

// Constructor describes an object to be made. Generated code fills it in.
type Constructor struct {
	// Method is the constructor's full method name.
	Method string
	// Name is the object's name, which Request holds too.
	Name string
	// Type is what the object is, for people.
	Type string
	// Request is sent at each making.
	Request proto.Message
	// Response returns an empty answer.
	Response func() proto.Message
	// Services are what the object serves.
	Services []string
	// Loans are what is lent for the object's life.
	Loans []Loan
}

// Loan is one field of a constructor's request.
type Loan struct {
	Field    string
	Lent     Lendable
	Set      func(name string)
	Services []string
}

// CreateOption changes how an object is made. The zero set of options is right for most.
type CreateOption interface{ apply(*Object) }

type onMade func(proto.Message)

func (f onMade) apply(o *Object) { o.onMade = f }

// OnMade calls f with the constructor's answer after each making, the first included, before any caller is let through.
func OnMade[R proto.Message](f func(response R)) CreateOption {
	return onMade(func(m proto.Message) { f(m.(R)) })
}

// ObjectState is where an object stands.
type ObjectState int

// States of objects.
const (
	// Creating: it waits for its process, its parent or its loans, or is being made.
	Creating ObjectState = iota
	// Open: it can be called.
	Open
	// Parked: it could not be made.
	Parked
	// Released: it has ended.
	Released
)

// String is the state as operators read it.
func (s ObjectState) String() string {
	return [...]string{"creating", "open", "parked", "released"}[s]
}

// Object is the host's handle of an object in a plugin. The runtime makes the object, makes it again in each new life of its
// process, and holds callers back while there is none. It implements grpc.ClientConnInterface: generated clients call through it.
type Object struct {
	plugin *Plugin
	parent *Object
	number uint64
	spec   Constructor
	onMade onMade
	gate   *gate
	seam   grpc.ClientConnInterface

	// Guarded by plugin.mu.
	state    ObjectState
	reason   error
	final    bool // parked for good
	response proto.Message
	settled  chan struct{} // closed when the first making has ended well, or for good
	deaths   int           // lives that ended in the middle of a making or of a call that was repeated
	children []*Object
}

func newObject(p *Plugin, parent *Object, c Constructor, options []CreateOption) *Object {
	o := &Object{plugin: p, parent: parent, spec: c, gate: newGate(), settled: make(chan struct{})}
	for _, opt := range options {
		opt.apply(o)
	}
	o.seam = wire.Bind(&gated{plugin: p, what: o.String(), gate: o.gate, suspect: o.suspect}, c.Name)
	return o
}

// Name is the object's name.
func (o *Object) Name() string { return o.spec.Name }

// String names the object and its plugin.
func (o *Object) String() string {
	return fmt.Sprintf("%s of plugin %s", o.spec.Name, o.plugin.name)
}

// Invoke implements grpc.ClientConnInterface.
func (o *Object) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	begin := time.Now()
	err := o.seam.Invoke(ctx, method, args, reply, opts...)
	o.plugin.observe(method, err, begin)
	return err
}

// NewStream implements grpc.ClientConnInterface.
func (o *Object) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return o.seam.NewStream(ctx, desc, method, opts...)
}

// Create implements Maker.
func (o *Object) Create(c Constructor, options ...CreateOption) *Object {
	return o.plugin.create(o, c, options)
}

func (o *Object) serves(service string) bool { return slices.Contains(o.spec.Services, service) }
func (o *Object) target() wire.Target        { return wire.Target{Forward: o} }
func (o *Object) ready() *gate               { return o.gate }

// Created waits until an object was made for the first time, or cannot be. A making that failed for a reason that may pass is
// tried again while ctx lasts. Generated code gives R.
func Created[R proto.Message](ctx context.Context, o *Object) (R, error) {
	var none R
	select {
	case <-o.settled:
	case <-ctx.Done():
		o.plugin.mu.Lock()
		reason := o.reason
		o.plugin.mu.Unlock()
		if reason == nil {
			reason = o.plugin.blocked()
		}
		if reason == nil {
			reason = ctx.Err()
		}
		s := status.FromContextError(ctx.Err())
		return none, status.Errorf(s.Code(), "%s was not made in time: %v", o, status.Convert(reason).Message())
	}
	o.plugin.mu.Lock()
	defer o.plugin.mu.Unlock()
	if o.response == nil {
		return none, o.reason
	}
	return o.response.(R), nil
}

// The pauses between makings that failed for a reason that may pass.
const (
	firstPark   = 50 * time.Millisecond
	longestPark = 10 * time.Second
	// makings bounds the constructors of one plugin that run at once: a plugin that comes back with a thousand objects must
	// not be asked for all of them in one breath.
	makings = 64
)

// make makes the object in a life. It runs in a goroutine of its own and holds nothing while it waits or calls.
func (o *Object) make(l *life) {
	pause := &backoff.ExponentialBackOff{InitialInterval: firstPark, MaxInterval: longestPark, Multiplier: 2, RandomizationFactor: 0.5}
	pause.Reset()
	for {
		if o.parent != nil && !o.parent.gate.settled(l.ended()) {
			return
		}
		// What is lent must be settled before a place is taken: a constructor may call it, and a place that waits for a
		// lent object that waits for a place would wait for ever. Loans form no cycle, because only an object that exists can be lent.
		for _, loan := range o.spec.Loans {
			if g := loan.Lent.ready(); g != nil && !g.settled(l.ended()) {
				return
			}
		}
		select {
		case o.plugin.makings <- struct{}{}:
		case <-l.ended():
			return
		}
		response, err := o.construct(l)
		<-o.plugin.makings
		if l.dying() {
			if err != nil {
				o.interrupted()
			}
			return
		}
		if err == nil {
			o.made(l, response)
			return
		}
		if !o.park(l, err) {
			return
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-l.ended():
			return
		}
	}
}

// construct calls the constructor on its own deadline, whoever asked for the object.
func (o *Object) construct(l *life) (proto.Message, error) {
	var conn grpc.ClientConnInterface = l.conn
	parent := ""
	if o.parent != nil {
		parent = o.parent.spec.Name
	}
	ctx, cancel := wire.Deadline(l.ctx, o.spec.Method)
	defer cancel()
	response := o.spec.Response()
	var trailer metadata.MD
	if err := wire.Bind(conn, parent).Invoke(ctx, o.spec.Method, o.spec.Request, response, grpc.Trailer(&trailer)); err != nil {
		if lost(ctx, err, trailer, l) {
			o.plugin.confirmDeath(ctx, l) // the end of the process is no failure of the object's
		}
		return nil, err
	}
	return response, nil
}

// made opens the gate.
func (o *Object) made(l *life, response proto.Message) {
	if o.onMade != nil {
		o.onMade(response)
	}
	o.plugin.mu.Lock()
	defer o.plugin.mu.Unlock()
	if o.state == Released || l.dying() {
		return
	}
	o.state, o.reason, o.response, o.deaths = Open, nil, response, 0
	o.settle()
	o.gate.open(l)
}

// settle ends the wait for the first making. The plugin's lock is held.
func (o *Object) settle() {
	select {
	case <-o.settled:
	default:
		close(o.settled)
	}
}

// park fails callers with the reason, and reports whether another try may help.
func (o *Object) park(l *life, err error) bool {
	code := status.Code(err)
	final := code == codes.InvalidArgument || code == codes.FailedPrecondition || code == codes.AlreadyExists || code == codes.Unimplemented
	o.plugin.mu.Lock()
	defer o.plugin.mu.Unlock()
	if o.state == Released || l.dying() {
		return false
	}
	o.state, o.reason, o.final = Parked, err, final
	if final {
		o.settle()
		o.gate.block(err)
		return false
	}
	o.gate.block(status.Errorf(codes.Unavailable, "%s could not be made and will be tried again: %s", o, status.Convert(err).Message()))
	o.plugin.logger.Warn("an object could not be made; it will be tried again", "object", o.spec.Name, "error", err)
	return true
}

// interrupted counts a death in the middle of a making.
func (o *Object) interrupted() {
	o.plugin.mu.Lock()
	o.deaths++
	o.plugin.mu.Unlock()
}

// suspect parks an object one of whose calls was in flight at two deaths: that call, not chance, may be what kills.
func (o *Object) suspect(method string) {
	o.plugin.mu.Lock()
	defer o.plugin.mu.Unlock()
	if o.state == Released {
		return
	}
	o.deaths = suspicious
	o.plugin.logger.Error("a call was in flight at two deaths of its plugin; its object is parked", "object", o.spec.Name, "method", method)
}

// suspicious is how many deaths make an object suspect.
const suspicious = 2

// suspectPause is how long a suspect object stays parked in a new life before it is made again.
const suspectPause = 10 * time.Second

// revive begins the making in a new life. The plugin's lock is held.
func (o *Object) revive(l *life) {
	if o.state == Released {
		return
	}
	if o.deaths >= suspicious {
		o.state, o.reason = Parked, status.Errorf(codes.Unavailable, "%s was in use at %d deaths of its plugin in a row and rests for %s", o, o.deaths, suspectPause)
		o.gate.block(o.reason)
		o.deaths = suspicious - 1 // one more chance
		go func() {
			select {
			case <-time.After(suspectPause):
				o.make(l)
			case <-l.ended():
			}
		}()
		return
	}
	o.state, o.reason, o.final = Creating, nil, false
	o.gate.shut()
	go o.make(l)
}

// Release ends the object and its children on both sides. It returns when the plugin has let go of them, or at once when the
// plugin's process is down.
func (o *Object) Release(ctx context.Context) error {
	p := o.plugin
	p.mu.Lock()
	var names []string
	names = o.bury(names)
	l := p.life
	told := l != nil && l.ready // a life that only starts has none of the journal's objects, and no connection yet
	p.mu.Unlock()
	if len(names) == 0 || !told || l.dying() {
		return nil
	}
	ctx, cancel := wire.Deadline(ctx, pluginv1.LifecycleService_Release_FullMethodName)
	defer cancel()
	_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(l.conn, "")).Release(ctx, &pluginv1.ReleaseRequest{Objects: names})
	if err == nil || l.dying() || status.Code(err) == codes.Unavailable {
		return nil // with the process, the object is gone
	}
	return fmt.Errorf("releasing %s: %w", o, err)
}

// bury takes the object and its children out of the journal, children first. The plugin's lock is held.
func (o *Object) bury(names []string) []string {
	if o.state == Released {
		return names
	}
	children := o.children
	o.children = nil // each child would take itself out of the list that is walked
	for _, c := range children {
		names = c.bury(names)
	}
	o.state = Released
	o.reason = status.Errorf(codes.NotFound, "%s was released", o)
	o.settle()
	o.gate.block(o.reason)
	for _, loan := range o.spec.Loans {
		if loan.Lent != nil {
			o.plugin.takeBack(loan.Lent.Name())
		}
	}
	delete(o.plugin.objects, o.spec.Name)
	if o.parent != nil {
		o.parent.children = slices.DeleteFunc(o.parent.children, func(c *Object) bool { return c == o })
	}
	return append(names, o.spec.Name)
}
