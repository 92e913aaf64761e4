package journal_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

// gate is how an object's gate was left.
type gate int

const (
	shut gate = iota
	open
	blocked
	ended
)

// asked is an effect that an event is to answer, and the generation in which it was asked for.
type asked struct {
	do         journal.Do
	generation uint64
}

// entry is what the effects so far say of one object.
type entry struct {
	parent  string
	lent    []lent
	gate    gate
	final   bool   // its gate is blocked for good in its generation
	told    uint64 // the generation in which its gate was blocked
	lends   bool
	settled bool // since the last making
	asked   *asked
}

// lent names an object of a plugin.
type lent struct{ plugin, object string }

// side is one plugin: its machine, and what its effects have come to.
type side struct {
	*journal.Machine
	world       *world
	name        string
	generation  uint64 // 0: none
	generations uint64
	plugin      gate
	objects     map[string]*entry
	made        string // the object whose making is being answered
}

// world is a few plugins that lend to one another. It checks what must be true of every effect.
type world struct {
	sides map[string]*side
	fatal func(format string, a ...any)
}

func newWorld(fatal func(string, ...any), names ...string) *world {
	w := &world{sides: map[string]*side{}, fatal: fatal}
	for _, n := range names {
		w.sides[n] = &side{Machine: journal.New(n, func() float64 { return 1 }), world: w, name: n,
			objects: map[string]*entry{}}
	}
	return w
}

// settled is whether callers of a lent object would not wait.
func (w *world) settled(l lent) bool { return w.sides[l.plugin].objects[l.object].gate != shut }

// making counts the constructors that run in the current generation.
func (s *side) making() int {
	n := 0
	for _, e := range s.objects {
		if e.asked != nil && e.asked.do == journal.Make && e.asked.generation == s.generation {
			n++
		}
	}
	return n
}

// create enters an object.
func (s *side) create(name, parent string, lends ...lent) []journal.Effect {
	if s.objects[name] == nil {
		s.objects[name] = &entry{parent: parent, lent: lends}
	}
	return s.step(journal.Event{What: journal.Create, Object: name, Parent: parent, Borrows: len(lends) > 0})
}

// begin and end are a generation's.
func (s *side) begin() []journal.Effect {
	s.generations++
	s.generation = s.generations
	return s.step(journal.Event{What: journal.Ready, Generation: s.generation})
}

func (s *side) end(what journal.What) []journal.Effect {
	generation := s.generation
	s.generation = 0
	return s.step(journal.Event{What: what, Generation: generation})
}

// answer answers what was asked for an object, in the generation in which it was asked.
func (s *side) answer(what journal.What, name string, reason error) []journal.Effect {
	e := s.objects[name]
	generation := e.asked.generation
	e.asked = nil
	if what == journal.Made && generation == s.generation {
		s.made = name
	}
	if what == journal.Settled {
		e.settled = generation == s.generation
	}
	defer func() { s.made = "" }()
	return s.step(journal.Event{What: what, Object: name, Generation: generation, Reason: reason})
}

// step steps the machine, and checks what comes of it.
func (s *side) step(e journal.Event) []journal.Effect {
	effects := s.Step(e)
	for _, f := range effects {
		s.apply(f)
	}
	s.check()
	return effects
}

// apply checks one effect against the rules.
func (s *side) apply(f journal.Effect) {
	bad := func(why string) { s.world.fatal("%s: %s: %s", s.name, told(f), why) }
	if f.Object == "" {
		switch f.Do {
		case journal.OpenGate:
			s.plugin = open
			for name, o := range s.objects {
				if o.gate == blocked && !o.final && o.told != s.generation {
					bad("callers of " + name + " are told of the generations before")
				}
			}
		case journal.ShutGate:
			s.plugin = shut
		case journal.BlockGate:
			s.plugin = blocked
		default:
			bad("the plugin itself is not made")
		}
		return
	}
	o := s.objects[f.Object]
	if o == nil {
		bad("there is no such object")
		return
	}
	if o.gate == ended {
		bad("it was released")
	}
	if f.Do != journal.Lend && !o.lends && !f.Final {
		bad("its loans are not in force")
	}
	switch f.Do {
	case journal.Lend:
		if o.lends {
			bad("it was lent already")
		}
		o.lends = true
	case journal.AwaitLoans, journal.Make, journal.Pause:
		switch {
		case s.generation == 0:
			bad("there is no generation")
		case o.asked != nil && o.asked.generation == s.generation:
			bad("something else was asked for and is not answered")
		case f.Do != journal.Pause && o.parent != "" && s.objects[o.parent].gate != open:
			bad("its parent is not open")
		case f.Do == journal.Make && len(o.lent) > 0 && !o.settled:
			bad("its loans are not settled")
		case f.Do == journal.Make && s.making() == journal.Makings:
			bad("too many are being made")
		case f.Do == journal.Pause && (f.For < journal.FirstPause || f.For > max(journal.LongestPause, journal.Rest)):
			bad("that is no pause")
		case f.Do == journal.Pause && o.gate != blocked:
			bad("its callers do not know that it is parked")
		}
		if f.Do == journal.Make {
			o.settled = false
		}
		o.asked = &asked{f.Do, s.generation}
	case journal.OpenGate:
		if s.made != f.Object {
			bad("it was not made just now, in this generation")
		}
		if o.parent != "" && s.objects[o.parent].gate != open {
			bad("its parent is not open")
		}
		o.gate, o.final = open, false
	case journal.ShutGate:
		o.gate, o.final = shut, false
	case journal.BlockGate:
		if f.Reason == nil {
			bad("for no reason")
		}
		o.gate, o.final, o.told = blocked, f.Final, s.generation
	case journal.End:
		for name, c := range s.objects {
			if c.parent == f.Object && c.lends && c.gate != ended {
				bad("its child " + name + " is not ended")
			}
		}
		if f.Tell != (s.generation != 0) {
			bad("the plugin is told of it if and only if it is there")
		}
		o.gate = ended
	}
}

// check compares what the machine says with the gates.
func (s *side) check() {
	for name, e := range s.objects {
		if !e.lends {
			continue // refused when it was created
		}
		state := s.Look(name).State
		wrong := false
		switch e.gate {
		case open:
			wrong = state != journal.Open || s.generation == 0
		case shut: // nobody waits for what is known to fail
			wrong = state != journal.Creating || s.plugin == blocked || s.generation != 0 && e.parent != "" &&
				s.objects[e.parent].gate == blocked
		case blocked: // the plugin is unreachable, or the object is parked
			wrong = state != journal.Parked && (state != journal.Creating || s.plugin != blocked)
		case ended:
			wrong = state != journal.Released
		}
		if wrong {
			s.world.fatal("%s: %s is %s with its gate %d and generation %d", s.name, name, state, e.gate, s.generation)
		}
	}
	if (s.plugin == open) != (s.generation != 0) {
		s.world.fatal("%s: its gate is %d with generation %d", s.name, s.plugin, s.generation)
	}
	if s.making() > journal.Makings {
		s.world.fatal("%s: %d are being made", s.name, s.making())
	}
}

// pending are the objects for which something was asked, in order of their names.
func (s *side) pending() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if s.objects[name].asked != nil {
			all = append(all, name)
		}
	}
	return all
}

var verbs = map[journal.Do]string{
	journal.Lend: "lend", journal.AwaitLoans: "await loans of", journal.Make: "make", journal.Pause: "pause",
	journal.OpenGate: "open", journal.ShutGate: "shut", journal.BlockGate: "block", journal.End: "end",
}

// told is an effect as scripts have it. The plugin itself is a dash.
func told(f journal.Effect) string {
	object := f.Object
	if object == "" {
		object = "-"
	}
	text := verbs[f.Do] + " " + object
	switch {
	case f.Do == journal.Pause:
		text += " " + f.For.String()
	case f.Do == journal.BlockGate && f.Final:
		text += fmt.Sprintf(" (%s, for good)", status.Code(f.Reason))
	case f.Do == journal.BlockGate:
		text += fmt.Sprintf(" (%s)", status.Code(f.Reason))
	case f.Tell:
		text += " and tell"
	}
	return text
}

func allTold(effects []journal.Effect) string {
	if len(effects) == 0 {
		return "nothing"
	}
	var all []string
	for _, f := range effects {
		all = append(all, told(f))
	}
	return strings.Join(all, ", ")
}

// coded is an error of a code, by its name.
func coded(name string) error {
	for c := range codes.Code(17) {
		if c.String() == name {
			return status.Error(c, "as the script wants")
		}
	}
	return nil
}
