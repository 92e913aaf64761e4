package journal_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loophost/internal/script"
	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

// TestScripts replays testdata. Each line is a plugin and what happens to it, and after => stands what must come of it:
//
//	create NAME [of PARENT] [lent PLUGIN/NAME]   release NAME
//	ready   replaced   ended   unreachable       of the plugin's current generation
//	settled NAME   made NAME   failed NAME CODE   due NAME
//	late made|settled|due NAME GENERATION        an answer that comes when its generation is over
//	call CALL NAME                               where its gate lets it
//	lost CALL NAME [died] [once] [gone]          its attempt was lost; once: not to be repeated; gone: nobody waits
//	look                                         where every object stands
func TestScripts(t *testing.T) {
	t.Parallel()
	script.Replay(t, func(t *testing.T) func(string) string {
		w := newWorld(t.Fatalf, "relayer", "median")
		calls := map[string]*journal.Call{}
		return func(event string) string {
			words := strings.Fields(event)
			if len(words) < 2 || w.sides[words[0]] == nil {
				t.Fatalf("%q is not a line of a script", event)
			}
			return fmt.Sprintf("%-46s => %s", event, happen(t, w.sides[words[0]], calls, words[1], words[2:]))
		}
	})
}

// happen has one line of a script happen, and says what comes of it.
func happen(t *testing.T, s *side, calls map[string]*journal.Call, what string, words []string) string {
	name := ""
	if len(words) > 0 {
		name = words[0]
	}
	answer := func(event journal.What, do journal.Do, reason error) string {
		if e := s.objects[name]; e == nil || e.asked == nil || e.asked.do != do {
			t.Fatalf("%s %s answers nothing", what, name)
		}
		return allTold(s.answer(event, name, reason))
	}
	switch what {
	case "create":
		parent := ""
		var lends []lent
		for i := 1; i+1 < len(words); i += 2 {
			if words[i] == "of" {
				parent = words[i+1]
			} else {
				plugin, object, _ := strings.Cut(words[i+1], "/")
				lends = append(lends, lent{plugin, object})
			}
		}
		return allTold(s.create(name, parent, lends...))
	case "release":
		return allTold(s.step(journal.Event{What: journal.Release, Object: name}))
	case "ready":
		return allTold(s.begin())
	case "replaced":
		return allTold(s.end(journal.Replaced))
	case "ended":
		return allTold(s.end(journal.Ended))
	case "unreachable":
		return allTold(s.step(journal.Event{What: journal.Unreachable, Reason: coded("Unavailable")}))
	case "settled":
		for _, l := range s.objects[name].lent {
			if !s.world.settled(l) {
				t.Fatalf("%s is not settled", l)
			}
		}
		return answer(journal.Settled, journal.AwaitLoans, nil)
	case "made":
		return answer(journal.Made, journal.Make, nil)
	case "failed":
		return answer(journal.Failed, journal.Make, coded(words[1]))
	case "due":
		return answer(journal.Due, journal.Pause, nil)
	case "late":
		generation, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		event := map[string]journal.What{"made": journal.Made, "settled": journal.Settled, "due": journal.Due}[name]
		return allTold(s.step(journal.Event{What: event, Object: words[1], Generation: generation}))
	case "call":
		if calls[name] == nil {
			calls[name] = &journal.Call{}
		}
		return map[gate]string{shut: "waits", open: fmt.Sprintf("goes to generation %d", s.generation),
			blocked: "is turned away",
			ended:   "is turned away for good"}[s.objects[words[1]].gate]
	case "lost":
		switch calls[name].Lost(slices.Contains(words, "died"), !slices.Contains(words, "once"),
			slices.Contains(words, "gone")) {
		case journal.Repeat:
			return "is repeated"
		case journal.Unknown:
			return "ends: its outcome is unknown"
		default:
			s.step(journal.Event{What: journal.Suspected, Object: words[1]})
			return "ends: its outcome is unknown and its object suspect"
		}
	case "look":
		var all []string
		for _, o := range s.Objects() {
			all = append(all, o.Name+" "+o.State.String())
		}
		return strings.Join(all, ", ")
	}
	t.Fatalf("nobody knows what %q is", what)
	return ""
}
