package supervise_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

var update = flag.Bool("update", false, "write what the machine does into testdata")

var events = map[string]supervise.Event{
	"begin": supervise.Begin, "ready": supervise.BecameReady, "died": supervise.Died,
	"due": supervise.Due, "restart": supervise.Restart, "stop": supervise.Stop,
}

// TestScripts replays testdata: each line is a time since the start and an event, and after => stands what must come of
// it.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(b), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func replay(t *testing.T, script string) string {
	var m supervise.Machine
	var out strings.Builder
	start := time.Unix(0, 0)
	for s := bufio.NewScanner(strings.NewReader(script)); s.Scan(); {
		line := s.Text()
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&out, line)
			continue
		}
		head, _, _ := strings.Cut(line, "=>")
		fields := strings.Fields(head)
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
		fmt.Fprintf(&out, "%-6s %-8s=> %s, %s\n", fields[0], fields[1], m.State(), effect)
	}
	return out.String()
}

// TestProperties drives machines with random events and holds what must be true of every one of them.
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
