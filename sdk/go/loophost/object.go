package loophost

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Maker is something with constructors: a Plugin or an Object.
type Maker interface {
	grpc.ClientConnInterface
	// Create makes an object and returns its handle at once. Generated constructors call it.
	Create(c Constructor, options ...CreateOption) *Object
}

// Constructor describes an object to make. Generated code fills it in.
type Constructor struct {
	// Method is the constructor's full method name.
	Method string
	// Name is the object's name, which Request also contains.
	Name string
	// Type is the object's type, for people.
	Type string
	// Request is sent each time that the object is made.
	Request proto.Message
	// Response returns an empty answer.
	Response func() proto.Message
	// Services are what the object serves.
	Services []string
	// Loans are lent as long as the object exists.
	Loans []Loan
}

// Loan is one field of a constructor's request.
type Loan struct {
	Field    string
	Lent     Lendable
	Set      func(name string)
	Services []string
}

// CreateOption changes how an object is made. Most callers need none.
type CreateOption interface{ apply(*Object) }

type onMade func(proto.Message)

func (f onMade) apply(o *Object) { o.onMade = f }

// OnMade calls f with the constructor's answer each time that the object has been made, before any caller is let
// through.
func OnMade[R proto.Message](f func(response R)) CreateOption {
	return onMade(func(m proto.Message) { f(m.(R)) })
}

// ObjectState is the state of an object.
type ObjectState = journal.State

// States of objects.
const (
	Creating = journal.Creating
	Open     = journal.Open
	Parked   = journal.Parked
	Released = journal.Released
)

// Object is the host's handle of an object in a plugin. The runtime makes the object, makes it again in each new
// generation of its process, and makes callers wait while it does not exist. Object implements
// grpc.ClientConnInterface, so generated clients call through it.
type Object struct {
	plugin   *Plugin
	parent   string // empty: the plugin itself
	spec     Constructor
	onMade   onMade
	gate     *gate
	seam     grpc.ClientConnInterface
	released chan struct{}

	response proto.Message // of the first making; guarded by plugin.mu
}

func newObject(p *Plugin, parent string, c Constructor, options []CreateOption) *Object {
	o := &Object{plugin: p, parent: parent, spec: c, gate: newGate(), released: make(chan struct{})}
	for _, opt := range options {
		opt.apply(o)
	}
	o.seam = wire.Bind(&gated{plugin: p, what: o.String(), gate: o.gate, object: c.Name}, c.Name)
	return o
}

// Name returns the object's name.
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
func (o *Object) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return o.seam.NewStream(ctx, desc, method, opts...)
}

// Create implements Maker.
func (o *Object) Create(c Constructor, options ...CreateOption) *Object {
	return o.plugin.create(o.spec.Name, c, options)
}

func (o *Object) serves(service string) bool { return slices.Contains(o.spec.Services, service) }
func (o *Object) target() wire.Target        { return wire.Target{Forward: o} }
func (o *Object) ready() *gate               { return o.gate }

// Created waits until an object has been made for the first time, or cannot be made. While ctx lasts, it waits for
// further attempts if the reason of a failure may pass. Generated code supplies R.
func Created[R proto.Message](ctx context.Context, o *Object) (R, error) {
	var none R
	for {
		s := o.gate.now.Load()
		o.plugin.mu.Lock()
		response, reason := o.response, o.plugin.journal.Look(o.spec.Name).Reason
		o.plugin.mu.Unlock()
		if response != nil {
			return response.(R), nil
		}
		if s.final {
			return none, s.blocked
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			if reason == nil {
				reason = cmp.Or(o.plugin.gate.now.Load().blocked, ctx.Err())
			}
			c := status.FromContextError(ctx.Err())
			return none, status.Errorf(c.Code(), "%s was not made in time: %v", o, status.Convert(reason).Message())
		}
	}
}

// make calls the constructor in a generation, with the constructor's own deadline, whoever asked for the object. It
// holds no lock during the call.
func (o *Object) make(l *generation) {
	ctx, cancel := wire.Deadline(l.ctx, o.spec.Method)
	defer cancel()
	response := o.spec.Response()
	var trailer metadata.MD
	err := wire.Bind(l.conn, o.parent).Invoke(ctx, o.spec.Method, o.spec.Request, response, grpc.Trailer(&trailer))
	if err != nil && ending(ctx, err, trailer, l) == journal.Lost {
		o.plugin.confirmDeath(ctx, l) // the end of the process is no failure of the object's
	}
	if err == nil && o.onMade != nil && !l.dying() {
		o.onMade(response)
	}
	o.plugin.mu.Lock()
	defer o.plugin.mu.Unlock()
	if err != nil {
		o.plugin.stepLocked(journal.Event{What: journal.Failed, Object: o.spec.Name, Generation: l.number, Reason: err})
		return
	}
	o.plugin.stepLocked(journal.Event{What: journal.Made, Object: o.spec.Name, Generation: l.number})
	if o.gate.now.Load().generation == l {
		o.response = response
	}
}

// awaitLoans waits until what the object borrows is settled. What the host lends always is.
func (o *Object) awaitLoans(l *generation) {
	for _, loan := range o.spec.Loans {
		if g := loan.Lent.ready(); g != nil && !g.settled(l.ended(), o.released) {
			return
		}
	}
	o.plugin.tell(journal.Event{What: journal.Settled, Object: o.spec.Name, Generation: l.number})
}

// Release ends the object and its children on both sides. It returns when the plugin has released them, or at once if
// the plugin's process is down.
func (o *Object) Release(ctx context.Context) error {
	p := o.plugin
	p.mu.Lock()
	var names []string
	for _, e := range p.stepLocked(journal.Event{What: journal.Release, Object: o.spec.Name}) {
		if e.Do == journal.End && e.Tell {
			names = append(names, e.Object)
		}
	}
	l := p.generation
	p.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := wire.Deadline(ctx, pluginv1.LifecycleService_Release_FullMethodName)
	defer cancel()
	_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(l.conn, "")).Release(ctx,
		&pluginv1.ReleaseRequest{Objects: names})
	if err == nil || l.dying() || status.Code(err) == codes.Unavailable {
		return nil // with the process, the object is gone
	}
	return fmt.Errorf("releasing %s: %w", o, err)
}
