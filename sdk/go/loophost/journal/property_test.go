package journal_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

// TestProperties has random things happen to two plugins that lend to each other. The world checks every effect against
// the rules: nothing is made or opened before its parent and its loans, a released name never comes back, makings are
// bounded. In the end generations last, and everything gets open that was not released or refused.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t.Fatalf, "relayer", "median")
		names := []string{"relayer", "median"}
		created := 0
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			s := w.sides[rapid.SampledFrom(names).Draw(t, "plugin")]
			object := func() (string, bool) {
				if len(s.objects) == 0 {
					return "", false
				}
				return rapid.SampledFrom(slices.Sorted(maps.Keys(s.objects))).Draw(t, "object"), true
			}
			create := func() {
				created++
				parent := ""
				var lends []lent
				if name, ok := object(); ok && rapid.Bool().Draw(t, "child") {
					parent = name
				}
				for range rapid.IntRange(0, 2).Draw(t, "loans") {
					owner := rapid.SampledFrom(names).Draw(t, "owner")
					if all := slices.Sorted(maps.Keys(w.sides[owner].objects)); len(all) > 0 {
						lends = append(lends, lent{owner, rapid.SampledFrom(all).Draw(t, "lent")})
					}
				}
				s.create(fmt.Sprintf("o%03d", created), parent, lends...)
			}
			// rapid prefers what stands first.
			switch rapid.SampledFrom([]string{"answer", "create", "begin", "end", "late", "noise", "release", "suspect",
				"replace", "give up", "many"}).Draw(t, "event") {
			case "create":
				create()
			case "many":
				for range journal.Makings / 2 {
					created++
					s.create(fmt.Sprintf("o%03d", created), "")
				}
			case "release":
				if name, ok := object(); ok {
					s.step(journal.Event{What: journal.Release, Object: name})
				}
			case "begin":
				if s.generation == 0 {
					s.begin()
				}
			case "end":
				if s.generation == 0 { // one that never became ready
					s.generations++
					s.step(journal.Event{What: journal.Ended, Generation: s.generations})
				} else {
					s.end(journal.Ended)
				}
			case "replace":
				if s.generation != 0 {
					generation := s.generation
					s.end(journal.Replaced)
					if rapid.Bool().Draw(t, "ended") {
						s.step(journal.Event{What: journal.Ended, Generation: generation})
					}
				}
			case "give up":
				if s.generation == 0 {
					s.step(journal.Event{What: journal.Unreachable, Reason: coded("Unavailable")})
				}
			case "suspect":
				if name, ok := object(); ok {
					s.step(journal.Event{What: journal.Suspected, Object: name})
				}
			case "late": // what is answered when its generation is over, and a beginning that is heard after its end
				if s.generations > 0 {
					generation := rapid.Uint64Range(1, s.generations).Draw(t, "generation")
					if generation == s.generation {
						generation = 0
					}
					nothing(t, s, journal.Event{What: journal.Ready, Generation: generation})
					for _, name := range s.pending() {
						nothing(t, s, journal.Event{What: answers[s.objects[name].asked.do], Object: name, Generation: generation})
					}
				}
			case "noise": // what nobody asked for
				for range 5 {
					name, ok := object()
					if !ok {
						break
					}
					o := s.objects[name]
					for do, what := range answers {
						if o.asked == nil || o.asked.generation != s.generation || o.asked.do != do {
							nothing(t, s, journal.Event{What: what, Object: name, Generation: s.generation})
						}
					}
					if o.lends && o.gate != ended { // its name is never used again
						nothing(t, s, journal.Event{What: journal.Create, Object: name})
					}
				}
			case "answer":
				if all := s.pending(); len(all) > 0 {
					respond(s, rapid.SampledFrom(all).Draw(t, "asked"), func() string {
						return rapid.SampledFrom([]string{"OK", "OK", "OK", "Unavailable", "Internal", "InvalidArgument",
							"Unimplemented"}).Draw(t, "code")
					})
				}
			}
		}
		// Now generations last, and every constructor succeeds.
		for _, name := range names {
			s := w.sides[name]
			for _, e := range s.objects { // what only the generation could end is over with it
				if e.asked != nil && e.asked.generation != s.generation {
					e.asked = nil
				}
			}
			if s.generation == 0 {
				s.begin()
			}
		}
		for moved := true; moved; {
			moved = false
			for _, name := range names {
				for _, object := range w.sides[name].pending() {
					moved = respond(w.sides[name], object, func() string { return "OK" }) || moved
				}
			}
		}
		for _, name := range names {
			s := w.sides[name]
			for object, e := range s.objects {
				if e.gate == open || e.gate == ended || !e.lends || s.refused(object) {
					continue
				}
				t.Fatalf("%s: %s is %s and nothing will happen to it any more", name, object, s.Look(object).State)
			}
		}
	})
}

var answers = map[journal.Do]journal.What{journal.AwaitLoans: journal.Settled, journal.Make: journal.Made,
	journal.Pause: journal.Due}

// nothing is what must come of an event that does not fit.
func nothing(t *rapid.T, s *side, e journal.Event) {
	if effects := s.step(e); len(effects) > 0 {
		t.Fatalf("%s: event %d of %s in generation %d has effects: %s", s.name, e.What, e.Object, e.Generation,
			allTold(effects))
	}
}

// respond answers what was asked for an object, and reports whether it could be answered.
func respond(s *side, name string, code func() string) bool {
	e := s.objects[name]
	switch e.asked.do {
	case journal.AwaitLoans:
		for _, l := range e.lent {
			if !s.world.settled(l) {
				return false
			}
		}
		s.answer(journal.Settled, name, nil)
	case journal.Make:
		if reason := coded(code()); reason != nil {
			s.answer(journal.Failed, name, reason)
		} else {
			s.answer(journal.Made, name, nil)
		}
	default:
		s.answer(journal.Due, name, nil)
	}
	return true
}

// refused is whether an object, or one that it is made of, was refused for good in this generation.
func (s *side) refused(name string) bool {
	e := s.objects[name]
	return e.final || e.parent != "" && s.refused(e.parent)
}
