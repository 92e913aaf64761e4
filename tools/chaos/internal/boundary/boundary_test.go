package boundary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
)

// TestMain lets the test binary be this tool's own plugin, and the host that is killed.
func TestMain(m *testing.M) {
	if is, err := faulty.Serve(); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 4 && os.Args[1] == HostArgument {
		if err := RunHost(context.Background(), os.Args[2], os.Args[3], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func bench(t *testing.T) Bench {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Bench{Self: self}
}

func opened(t *testing.T) *host {
	t.Helper()
	h, end, err := open(loophost.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return h
}

func TestHealBounds(t *testing.T) {
	t.Parallel()
	for bare, want := range map[time.Duration][2]time.Duration{
		0:                      {100 * time.Millisecond, 250 * time.Millisecond},
		15 * time.Millisecond:  {100 * time.Millisecond, 250 * time.Millisecond},
		16 * time.Millisecond:  {100 * time.Millisecond, 251 * time.Millisecond},
		40 * time.Millisecond:  {100 * time.Millisecond, 275 * time.Millisecond},
		100 * time.Millisecond: {160 * time.Millisecond, 335 * time.Millisecond},
	} {
		if median, most := healBounds(bare); median != want[0] || most != want[1] {
			t.Errorf("a bare start of %s: median %s and most %s, want %s", bare, median, most, want)
		}
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	asked := 0
	if err := until(t.Context(), time.Minute, "three", func() bool { asked++; return asked == 3 }); err != nil ||
		asked != 3 {
		t.Errorf("it was asked %d times: %v", asked, err)
	}
	if err := until(t.Context(), time.Millisecond, "what never comes", func() bool { return false }); err == nil ||
		err.Error() != "waited 1ms for what never comes" {
		t.Errorf("got %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := until(over, time.Minute, "nothing", func() bool { return false }); err == nil {
		t.Error("an interrupt did not end the waiting")
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := beside(t.Context(), time.Microsecond, func(ctx context.Context) error {
		if calls.Add(1)%2 == 0 {
			return errors.New("every second fails")
		}
		return ctx.Err()
	})
	s.atLeast(10)
	took, failures := s.done()
	n := int(calls.Load())
	if len(took)+len(failures) != n || n < 10 || len(failures) != n/2 {
		t.Errorf("of %d calls %d are answered and %d failed", n, len(took), len(failures))
	}
	// The end is not the failure of the call under way.
	under := make(chan struct{}, 1)
	s = beside(t.Context(), time.Hour, func(ctx context.Context) error {
		under <- struct{}{}
		time.Sleep(time.Millisecond) // done comes meanwhile, or just after: either way it answers
		return ctx.Err()
	})
	<-under
	if took, failures := s.done(); len(took) != 1 || len(failures) != 0 || took[0] < time.Millisecond {
		t.Errorf("the call under way: %v, %v", took, failures)
	}
}

func TestProgramIsReplacedWhileItRuns(t *testing.T) {
	t.Parallel()
	p, err := newProgram(t.TempDir(), "echo first; read line; echo $line")
	if err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), p.path)
	running.Stdin = strings.NewReader("still\n")
	if err := p.become("echo second"); err != nil {
		t.Fatal(err)
	}
	out, err := running.Output()
	if err != nil || string(out) != "second\n" {
		t.Errorf("after the replacement it says %q: %v", out, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(p.path), "*.new")); err != nil || len(left) != 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}

func TestSocketFiles(t *testing.T) {
	t.Parallel()
	h := &host{sockets: t.TempDir()}
	if n, err := h.socketFiles(); err != nil || n != 0 {
		t.Errorf("an empty folder holds %d: %v", n, err)
	}
	if err := os.Mkdir(filepath.Join(h.sockets, "plugin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "plugin/b"} {
		if err := os.WriteFile(filepath.Join(h.sockets, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := h.socketFiles(); err != nil || n != 2 {
		t.Errorf("two files in two folders are counted as %d: %v", n, err)
	}
	if n, err := (&host{sockets: filepath.Join(h.sockets, "gone")}).socketFiles(); err != nil || n != 0 {
		t.Errorf("a folder that is gone holds %d: %v", n, err)
	}
}

// TestPlugin tries what trials ask of a plugin's process on one that runs.
func TestPlugin(t *testing.T) {
	t.Parallel()
	h := opened(t)
	p, err := bench(t).faultyRelayer(t.Context(), h, "faulty")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := metric(t.Context(), p.Plugin, "go_goroutines"); err != nil || n < 1 {
		t.Errorf("it counts %v goroutines: %v", n, err)
	}
	if _, err := metric(t.Context(), p.Plugin, "go_gorout"); err == nil ||
		err.Error() != "plugin faulty has no metric go_gorout" {
		t.Errorf("a part of a name: %v", err)
	}
	mine, theirs, err := h.count(t.Context(), p.Plugin)
	if err != nil || mine.goroutines < 1 || mine.descriptors < 3 || mine.sockets < 1 || theirs.goroutines < 1 ||
		theirs.descriptors < 3 {
		t.Errorf("the host holds %s, its plugin %s: %v", mine, theirs, err)
	}
	if err := signal(p.Plugin, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := until(t.Context(), time.Minute, "the next generation", func() bool {
		return p.Status().Generation >= 2 && p.Status().PID != 0
	}); err != nil {
		t.Error(err)
	}
	inside, err := insideRelayer(t.Context(), h, "inside")
	if err != nil {
		t.Fatal(err)
	}
	if err := signal(inside.Plugin, syscall.SIGKILL); err == nil ||
		!strings.Contains(err.Error(), "plugin inside has no process to signal") {
		t.Errorf("a signal to a plugin without a process: %v", err)
	}
}

func TestBareStart(t *testing.T) {
	t.Parallel()
	b, kind := bench(t), relayerv1loop.RelayerKind()
	if took, err := bareStart(t.Context(), b.Self, kind, 3); err != nil || took <= 0 {
		t.Errorf("it took %s: %v", took, err)
	}
	silent, err := newProgram(t.TempDir(), "exit 0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bareStart(t.Context(), silent.path, kind, 1); err == nil ||
		!strings.Contains(err.Error(), "printed no handshake") {
		t.Errorf("a program that says nothing: %v", err)
	}
	if _, err := bareStart(t.Context(), filepath.Join(t.TempDir(), "absent"), kind, 1); err == nil ||
		!strings.Contains(err.Error(), "run make build") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestOrphaned(t *testing.T) {
	t.Parallel()
	b := bench(t)
	if took, err := b.orphaned(t.Context(), "relayer", b.Self); err != nil || took <= 0 {
		t.Errorf("it lived on for %s (0: for ever): %v", took, err)
	}
	if _, err := b.orphaned(t.Context(), "relayer", filepath.Join(t.TempDir(), "absent")); err == nil ||
		!strings.Contains(err.Error(), "did not become ready") {
		t.Errorf("a plugin that is not there: %v", err)
	}
}
