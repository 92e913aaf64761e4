package supervise_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/sdk/go/loophost/internal/script"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

var events = map[string]supervise.Event{
	"begin": supervise.Begin, "ready": supervise.BecameReady, "died": supervise.Died,
	"due": supervise.Due, "restart": supervise.Restart, "stop": supervise.Stop,
}

// TestScripts replays testdata: each line is a time since the start and an event, and after => stands what must come of
// it.
func TestScripts(t *testing.T) {
	t.Parallel()
	script.Replay(t, func(t *testing.T) func(string) string {
		var m supervise.Machine
		start := time.Unix(0, 0)
		return func(line string) string {
			fields := strings.Fields(line)
			if len(fields) != 2 {
				t.Fatalf("%q is not a line of a script", line)
			}
			at, err := time.ParseDuration(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			event, ok := events[fields[1]]
			if !ok {
				t.Fatalf("there is no event %q", fields[1])
			}
			effect := "nothing"
			switch e := m.Step(start.Add(at), event); {
			case e.Launch:
				effect = fmt.Sprintf("launch generation %d", m.Generation())
			case e.Kill:
				effect = "kill"
			case e.Pause > 0:
				effect = "pause " + e.Pause.String()
			}
			return fmt.Sprintf("%-6s %-8s=> %s, %s", fields[0], fields[1], m.State(), effect)
		}
	})
}

// TestProperties drives machines with random events and checks what must be true of every one of them.
func TestProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m supervise.Machine
		now := time.Unix(0, 0)
		running, stopped, pausing := false, false, false
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			e := supervise.Event(rapid.IntRange(int(supervise.Begin), int(supervise.Stop)).Draw(t, "event"))
			generations := m.Generation()
			effect := m.Step(now, e)
			if e == supervise.Died {
				running = false
			}
			if e == supervise.Stop {
				stopped = true
			}
			if effect.Launch {
				if running {
					t.Fatalf("step %d: two generations at once", i)
				}
				if stopped {
					t.Fatalf("step %d: a generation after the stop", i)
				}
				if m.Generation() != generations+1 {
					t.Fatalf("step %d: the generation did not grow by one", i)
				}
				running, pausing = true, false
			} else if m.Generation() != generations {
				t.Fatalf("step %d: the generation grew without a generation", i)
			}
			if effect.Kill && !running {
				t.Fatalf("step %d: killed what does not run", i)
			}
			if effect.Pause > 0 {
				pausing = true
				if effect.Pause > supervise.QuarantinePause {
					t.Fatalf("step %d: a pause of %s", i, effect.Pause)
				}
			}
			if m.State() == supervise.Ready && !running {
				t.Fatalf("step %d: ready without a generation", i)
			}
			// A plugin that was begun and not stopped always has a generation or a pause that will end: it is never forgotten.
			if generations > 0 && !stopped && !running && !pausing {
				t.Fatalf("step %d: nothing will happen any more", i)
			}
		}
		if !stopped {
			m.Step(now, supervise.Stop)
		}
		m.Step(now, supervise.Died)
		if m.State() != supervise.Stopped {
			t.Fatalf("after the stop the machine is %s", m.State())
		}
	})
}
