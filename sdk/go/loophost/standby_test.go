package loophost_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// standingBy waits until another process than the one of the id stands by for a plugin, and returns its id.
func standingBy(t testing.TB, p *loophost.Plugin, but int) int {
	t.Helper()
	return eventuallyStatus(t, p, "another process that stands by", func(s loophost.Status) bool {
		return s.Standby != nil && s.Standby.PID != 0 && s.Standby.PID != but
	}).Standby.PID
}

// eventuallyStatus waits for a status.
func eventuallyStatus(t testing.TB, p *loophost.Plugin, what string, is func(loophost.Status) bool) loophost.Status {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s := p.Status()
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s: %+v", what, s)
		}
	}
}

// launchWithStandby launches a relayer whose program can be replaced, and waits for the process that stands by.
func launchWithStandby(
	t *testing.T,
	change func(*loophost.PluginSettings),
) (p *relayerv1loophost.Relayer, become func(script string), pid int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "plugin")
	become = func(script string) { write(t, program, script) }
	become("exec " + os.Args[0])
	s := loophost.PluginSettings{Name: "fake", Command: []string{program}, Hint: "check it", Standby: true}
	if change != nil {
		change(&s)
	}
	r := newRuntimeOf(t, loophost.Settings{HealthTimeout: 5 * time.Second}) // one that hangs is to be seen
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	return p, become, standingBy(t, p.Plugin, 0)
}

// Each death is survived by the process that stands by, with the objects of the one that died, and another takes its
// place.
func TestStandby(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		r := newRuntime(t)
		s := settings(m, "fake")
		s.Standby = true
		p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
		if err != nil {
			t.Fatal(err)
		}
		c := newChain(r, p, "")
		if _, err := head(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		next := 0
		for i := range 3 {
			next = standingBy(t, p.Plugin, next)
			kill(t, p.Plugin)
			if _, err := head(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if s := p.Status(); s.PID != next || s.Generation != uint64(i+2) {
				t.Fatalf("generation %d has the process %d; %d stood by", s.Generation, s.PID, next)
			}
		}
		next = standingBy(t, p.Plugin, next)
		if serving, standby := p.Memory(); runtime.GOOS == "linux" && (serving == 0 || standby == 0) {
			t.Errorf("the process takes %d bytes and the one that stands by %d", serving, standby)
		}
		p.Close(t.Context())
		gone(t, next)
		if serving, standby := p.Memory(); serving != 0 || standby != 0 {
			t.Errorf("without processes they take %d and %d bytes", serving, standby)
		}
	})
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !errors.Is(syscall.Kill(pid, 0),
		syscall.ESRCH); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the process %d lives on", pid)
		}
	}
}

// A process that stands by is replaced when its program is another, when it ends, when it hangs, and when it takes too
// much memory; and after a restart, which may have found other files than those that are looked at.
func TestStandbyIsReplaced(t *testing.T) {
	t.Parallel()
	for what, act := range map[string]func(t *testing.T, p *loophost.Plugin, become func(string), pid int){
		"another program": func(_ *testing.T, _ *loophost.Plugin, become func(string), _ int) {
			become("exec " + os.Args[0] + " # newer")
		},
		"ended": func(t *testing.T, _ *loophost.Plugin, _ func(string), pid int) { signal(t, pid, syscall.SIGKILL) },
		"hung":  func(t *testing.T, _ *loophost.Plugin, _ func(string), pid int) { signal(t, pid, syscall.SIGSTOP) },
		"restart": func(t *testing.T, p *loophost.Plugin, _ func(string), _ int) {
			if err := p.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, become, pid := launchWithStandby(t, nil)
			generation := p.Status().Generation
			act(t, p.Plugin, become, pid)
			next := standingBy(t, p.Plugin, pid)
			gone(t, pid)
			if what != "restart" && p.Status().Generation != generation {
				t.Errorf("the generation that serves ended too: generation %d", p.Status().Generation)
			}
			kill(t, p.Plugin)
			eventuallyStatus(t, p.Plugin, "generation of the one that stood by", func(s loophost.Status) bool {
				return s.State == supervise.Ready && s.PID == next
			})
		})
	}
}

// A program that was replaced by a broken one leaves nothing that stands by, and says so; the next generation is not
// one of the old program.
func TestStandbyOfABrokenProgram(t *testing.T) {
	t.Parallel()
	p, become, pid := launchWithStandby(t, nil)
	become("echo broken >&2; exit 7")
	s := eventuallyStatus(t, p.Plugin, "reason", func(s loophost.Status) bool {
		return s.Standby.PID == 0 && strings.Contains(s.Standby.Problem, "it said: broken")
	})
	if s.State != supervise.Ready {
		t.Errorf("the plugin is %s", s.State)
	}
	gone(t, pid)
	become("exec " + os.Args[0])
	standingBy(t, p.Plugin, pid)
}

// What keeps a program from standing by is said at once.
func TestStandbyWantsACommand(t *testing.T) {
	t.Parallel()
	s := settings(inProcess, "fake")
	s.Standby = true
	_, err := relayerv1loophost.LaunchRelayer(t.Context(), newRuntime(t), s)
	if want := "plugin fake: only a plugin with a command can have a standby"; err == nil || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
}

// standbyKills is how many deaths one figure of BenchmarkStandby covers.
const standbyKills = 30

// BenchmarkStandby kills a plugin for which a process stands by, and measures the time until the same object answers
// again.
func BenchmarkStandby(b *testing.B) {
	b.Run("go", func(b *testing.B) {
		r := benchRuntime(b)
		s := settings(outOfProcess, "fake")
		s.Standby = true
		p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, s)
		if err != nil {
			b.Fatal(err)
		}
		c := newChain(r, p, "")
		killed(b, p.Plugin, func() error { _, err := head(b.Context(), c); return err })
	})
	b.Run("python", func(b *testing.B) {
		command := pythonMedian(b)
		p := newBorrower(b, benchRuntime(b), loophost.PluginSettings{Command: command, Standby: true})
		killed(b, p.Plugin, func() error { p.observe(b); return nil })
	})
}

// killed reports how long a call takes that is made as its plugin is killed.
func killed(b *testing.B, p *loophost.Plugin, call func() error) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		for range standbyKills {
			if err := call(); err != nil {
				b.Fatal(err)
			}
			pid := standingBy(b, p, 0)
			generation := p.Status().Generation
			begin := time.Now()
			if err := syscall.Kill(p.Status().PID, syscall.SIGKILL); err != nil {
				b.Fatal(err)
			}
			for again := true; again; again = p.Status().Generation == generation { // the death is not seen yet
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
			took = append(took, time.Since(begin))
			if s := p.Status(); s.PID != pid {
				b.Fatal(fmt.Errorf("the process %d took over and not %d, which stood by", s.PID, pid))
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // which would be of all kills and of the waits between
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "longest-ms")
}
