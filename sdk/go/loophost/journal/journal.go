// Package journal decides about the objects of one plugin: when each is made, who may call it, and what happens to it
// and to calls in flight when the plugin's process ends. It is pure state machines: events in, effects out. It knows no
// process, no clock and no connection. The caller carries the effects out, in order.
package journal

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The figures of healing.
const (
	// Makings bounds the constructors of one plugin that run at once, so that a plugin that comes back with a thousand
	// objects does not get all requests at the same time.
	Makings = 64
	// FirstPause is the pause after the first failed constructor call for an object in a generation. It doubles with
	// each further failure.
	FirstPause = 50 * time.Millisecond
	// LongestPause bounds that pause.
	LongestPause = 10 * time.Second
	// Suspicious is how many crashes of the plugin in a row make an object suspect that was being made, or called, at
	// each of them.
	Suspicious = 2
	// Rest is how long a suspect object pauses in a new generation before it is made again.
	Rest = 10 * time.Second
)

// State is the state of an object.
type State int

// States.
const (
	// Creating means that the object waits for its process, its parent or its loans, or is being made.
	Creating State = iota
	// Open means that the object can be called.
	Open
	// Parked means that the object could not be made.
	Parked
	// Released means that the object has ended, or never existed.
	Released
)

// String returns the state as operators read it.
func (s State) String() string {
	return [...]string{"creating", "open", "parked", "released"}[s]
}

// What is the kind of an event.
type What int

// Events. Those that answer an effect carry the generation in which the effect was asked for, and come too late after
// it.
const (
	// Create adds Object, a child of Parent, under a new name. A second Create with the same name joins the first.
	Create What = iota
	// Release ends Object and its children.
	Release
	// Suspected says that a call of Object was in flight at so many crashes that the object is suspect.
	Suspected
	// Ready says that Generation serves.
	Ready
	// Replaced says that another generation replaces Generation: calls in flight finish, and no new ones begin.
	Replaced
	// Ended says that Generation has ended, whether or not it was ready.
	Ended
	// Unreachable says that it is not known when the plugin comes back, for Reason.
	Unreachable
	// Settled answers AwaitLoans: everything that Object borrows can be called, or is known to fail.
	Settled
	// Made answers Make.
	Made
	// Failed answers Make with Reason, a gRPC status.
	Failed
	// Due answers Pause.
	Due
)

// Event is what happened.
type Event struct {
	What   What
	Object string
	Parent string // empty: the plugin itself
	// Borrows reports whether Object has a loan of another plugin's object, which may be unavailable.
	Borrows    bool
	Generation uint64
	Reason     error
}

// Do is the kind of an effect.
type Do int

// Effects.
const (
	// Lend activates the loans of Object.
	Lend Do = iota
	// AwaitLoans asks for Settled as soon as everything that Object borrows is settled.
	AwaitLoans
	// Make asks for a constructor call for Object. Made or Failed answers.
	Make
	// Pause asks for Due after For.
	Pause
	// OpenGate lets callers through.
	OpenGate
	// ShutGate makes callers wait.
	ShutGate
	// BlockGate refuses callers with Reason.
	BlockGate
	// End ends Object: its loans are taken back, and its gate is blocked with Reason. Tell reports whether the plugin
	// must learn of it.
	End
)

// Effect is an action to carry out. An empty Object means the plugin itself.
type Effect struct {
	Do     Do
	Object string
	Reason error
	// Final reports whether further attempts in this generation are pointless.
	Final bool
	Tell  bool
	For   time.Duration
}

// phase is how far the making of an object is in the current generation.
type phase int

const (
	down      phase = iota // there is no generation
	waiting                // for its parent
	borrowing              // waits for its loans
	queued                 // for a place among the makings
	making
	pausing
	open
	refused // for good in this generation
	gone    // released
)

type object struct {
	name     string
	number   uint64 // orders the journal
	parent   *object
	children []*object
	borrows  bool
	phase    phase
	reason   error // why it is parked
	shut     bool  // whether its gate was last told to make callers wait
	failures int   // makings in a row that failed in this generation
	deaths   int   // that interrupted its making, or its calls, in a row
}

// Machine holds the journal of one plugin.
type Machine struct {
	plugin      string
	jitter      func() float64
	objects     map[string]*object
	created     uint64
	generation  uint64             // in which objects are made; 0: none
	ended       uint64             // the last generation in which nothing is made any more
	unreachable error              // since the last generation; nil: callers wait
	queue       []*object          // those that wait for a place, the oldest first; some may be gone
	making      map[string]*object // those that hold a place; a released one keeps it until its constructor returns
	effects     []Effect
}

// New returns an empty journal. plugin is the plugin's name, for texts. jitter varies pauses: it returns a factor from
// 0.5 to 1.5.
func New(plugin string, jitter func() float64) *Machine {
	return &Machine{plugin: plugin, jitter: jitter, objects: map[string]*object{}, making: map[string]*object{}}
}

// Status is the state of one object.
type Status struct {
	Name, Parent string
	State        State
	Reason       error // why it is parked
}

// Objects returns the states of all objects, in the order of their creation.
func (m *Machine) Objects() []Status {
	var all []Status
	for _, o := range m.inOrder() {
		all = append(all, o.status())
	}
	return all
}

// Look returns the state of one object.
func (m *Machine) Look(name string) Status {
	if o := m.objects[name]; o != nil {
		return o.status()
	}
	return Status{Name: name, State: Released, Reason: m.released(name)}
}

func (o *object) status() Status {
	s := Status{Name: o.name, Reason: o.reason}
	if o.parent != nil {
		s.Parent = o.parent.name
	}
	switch {
	case o.phase == open:
		s.State = Open
	case o.reason != nil:
		s.State = Parked
	}
	return s
}

// Step handles an event. Events that do not fit, such as an answer from an ended generation, have no effect.
func (m *Machine) Step(e Event) []Effect {
	m.effects = nil
	o := m.objects[e.Object]
	switch e.What {
	case Create:
		if o == nil {
			m.create(e)
		}
	case Release:
		if o != nil {
			m.end(o)
		}
	case Suspected:
		if o != nil {
			o.deaths = Suspicious
		}
	case Ready:
		m.ready(e.Generation)
	case Replaced:
		if e.Generation > m.ended {
			m.suspend(e.Generation)
		}
	case Ended:
		if e.Generation > m.ended {
			for _, o := range m.making {
				o.deaths++
			}
			m.suspend(e.Generation)
		}
	case Unreachable:
		m.giveUp(e.Reason)
	case Settled:
		if e.Generation == m.generation && o != nil && o.phase == borrowing {
			m.enqueue(o)
		}
	case Made, Failed:
		if o := m.making[e.Object]; e.Generation == m.generation && o != nil {
			delete(m.making, e.Object)
			m.answered(o, e)
			m.fill()
		}
	case Due:
		if e.Generation == m.generation && o != nil && o.phase == pausing {
			m.begin(o)
		}
	}
	return m.effects
}

func (m *Machine) create(e Event) {
	parent := m.objects[e.Parent]
	if e.Parent != "" && parent == nil {
		m.do(Effect{Do: BlockGate, Object: e.Object, Reason: m.released(e.Parent), Final: true})
		return
	}
	m.created++
	o := &object{name: e.Object, number: m.created, parent: parent, borrows: e.Borrows, shut: true}
	m.objects[o.name] = o
	if parent != nil {
		parent.children = append(parent.children, o)
	}
	m.do(Effect{Do: Lend, Object: o.name}) // before the constructor's request leaves
	switch {
	case m.generation != 0:
		m.begin(o)
	case m.unreachable != nil:
		m.block(o, m.unreachable)
	}
}

// end takes an object and its children out of the journal, children first.
func (m *Machine) end(o *object) {
	for _, c := range slices.Clone(o.children) {
		m.end(c)
	}
	if o.parent != nil {
		o.parent.children = slices.DeleteFunc(o.parent.children, func(c *object) bool { return c == o })
	}
	delete(m.objects, o.name)
	o.phase = gone
	m.do(Effect{Do: End, Object: o.name, Reason: m.released(o.name), Final: true, Tell: m.generation != 0})
}

// ready begins a generation: every object is made, in the order of the journal, which has parents before their
// children.
func (m *Machine) ready(generation uint64) {
	if generation <= m.ended || m.generation != 0 {
		return // its end was seen before its beginning
	}
	m.generation = generation
	for _, o := range m.inOrder() {
		o.failures = 0
		if o.deaths >= Suspicious {
			o.deaths = Suspicious - 1 // one more chance
			o.phase = pausing
			rests := status.Errorf(codes.Unavailable, "%s was in use at %d deaths of its plugin in a row and rests for %s",
				m.text(o.name), Suspicious, Rest)
			m.park(o, rests, rests)
			m.do(Effect{Do: Pause, Object: o.name, For: Rest, Reason: rests})
			continue
		}
		m.clear(o)
		m.begin(o)
	}
	// Last, because the plugin's gate says that the generation has begun: whoever sees that finds no object in a state of
	// an earlier generation.
	m.do(Effect{Do: OpenGate})
}

// suspend ends a generation: callers wait for the next one. What was refused for good stays so until then.
func (m *Machine) suspend(generation uint64) {
	m.ended, m.generation, m.unreachable = generation, 0, nil
	m.queue = nil
	clear(m.making)
	m.do(Effect{Do: ShutGate})
	for _, o := range m.inOrder() {
		if o.phase != refused {
			o.phase = down
			m.clear(o)
		}
	}
}

func (m *Machine) giveUp(reason error) {
	m.unreachable = reason
	m.do(Effect{Do: BlockGate, Reason: reason})
	for _, o := range m.inOrder() {
		if o.phase != refused {
			m.block(o, reason)
		}
	}
}

// begin takes an object as far towards its making as its parent and its loans allow. One that waits for them holds no
// place: a constructor may call what was lent, and a place that waits for an object that waits for a place would wait
// for ever.
func (m *Machine) begin(o *object) {
	switch p := o.parent; {
	case p != nil && p.phase != open:
		o.phase = waiting
		if p.reason != nil {
			m.follow(o)
		}
	case o.borrows:
		o.phase = borrowing
		m.do(Effect{Do: AwaitLoans, Object: o.name})
	default:
		m.enqueue(o)
	}
}

func (m *Machine) enqueue(o *object) {
	o.phase = queued
	m.queue = append(m.queue, o)
	m.fill()
}

// fill gives free places to those that have waited longest.
func (m *Machine) fill() {
	for len(m.queue) > 0 && len(m.making) < Makings {
		o := m.queue[0]
		m.queue = m.queue[1:]
		if o.phase == queued {
			o.phase = making
			m.making[o.name] = o
			m.do(Effect{Do: Make, Object: o.name})
		}
	}
}

// answered handles the answer of a constructor.
func (m *Machine) answered(o *object, e Event) {
	switch {
	case o.phase == gone:
	case e.What == Made:
		o.phase, o.reason, o.shut = open, nil, false
		o.failures, o.deaths = 0, 0
		m.do(Effect{Do: OpenGate, Object: o.name})
		for _, c := range o.children {
			if c.phase == waiting {
				m.clear(c)
				m.begin(c)
			}
		}
	case final(status.Code(e.Reason)):
		o.phase, o.reason, o.shut = refused, e.Reason, false
		m.do(Effect{Do: BlockGate, Object: o.name, Reason: e.Reason, Final: true})
		m.followed(o)
	default:
		o.phase = pausing
		pause := min(FirstPause<<min(o.failures, 16), LongestPause)
		o.failures++
		m.park(o, e.Reason, m.again(o, e.Reason))
		m.do(Effect{Do: Pause, Object: o.name, For: time.Duration(float64(pause) * m.jitter()), Reason: e.Reason})
	}
}

// final reports whether another try in the same generation would fail the same way.
func final(c codes.Code) bool {
	return c == codes.InvalidArgument || c == codes.FailedPrecondition || c == codes.AlreadyExists ||
		c == codes.Unimplemented
}

// park refuses the callers of an object, and of its children, until it is made. reason is for its status, told for the
// callers.
func (m *Machine) park(o *object, reason, told error) {
	o.reason = reason
	m.block(o, told)
	m.followed(o)
}

// follow parks an object whose parent could not be made.
func (m *Machine) follow(o *object) {
	reason := status.Errorf(codes.Unavailable, "it is made of %s, which could not be made: %s", o.parent.name,
		status.Convert(o.parent.reason).Message())
	m.park(o, reason, m.again(o, reason))
}

func (m *Machine) followed(o *object) {
	for _, c := range o.children {
		if c.phase == waiting {
			m.follow(c)
		}
	}
}

// clear has callers wait again.
func (m *Machine) clear(o *object) {
	o.reason = nil
	if !o.shut {
		o.shut = true
		m.do(Effect{Do: ShutGate, Object: o.name})
	}
}

func (m *Machine) block(o *object, reason error) {
	o.shut = false
	m.do(Effect{Do: BlockGate, Object: o.name, Reason: reason})
}

func (m *Machine) again(o *object, reason error) error {
	return status.Errorf(codes.Unavailable, "%s could not be made and will be tried again: %s", m.text(o.name),
		status.Convert(reason).Message())
}

func (m *Machine) do(e Effect) { m.effects = append(m.effects, e) }

func (m *Machine) text(name string) string { return name + " of plugin " + m.plugin }

func (m *Machine) released(name string) error {
	return status.Errorf(codes.NotFound, "%s was released", m.text(name))
}

func (m *Machine) inOrder() []*object {
	all := make([]*object, 0, len(m.objects))
	for _, o := range m.objects {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *object) int { return cmp.Compare(a.number, b.number) })
	return all
}
