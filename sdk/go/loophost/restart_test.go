package loophost_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// write replaces a plugin's program as an upgrade does: by a rename, since a running program cannot be written to.
func write(t *testing.T, program, script string) {
	t.Helper()
	if err := executable.Write(program+".new", []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
}

// A plugin is replaced, and comes back after a crash, although something has cleaned the host's sockets away.
func TestSocketsGone(t *testing.T) {
	t.Parallel()
	processes(t, func(t *testing.T, m mode) {
		folder, err := os.MkdirTemp("", "l")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		// A process that is only slow to answer a health check must not be killed beside those that the test ends.
		r := newRuntimeOf(t, loophost.Settings{SocketDir: folder, HealthTimeout: time.Minute, StopTimeout: 20 * time.Second})
		p := launchRelayer(t, r, m)
		c := newChain(r, p, "")
		for _, again := range []func() error{
			func() error { return p.Restart(t.Context()) },
			func() error { kill(t, p.Plugin); return nil },
		} {
			if _, err := head(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			generation := p.Status().Generation
			made, err := filepath.Glob(filepath.Join(folder, "*"))
			if err != nil || len(made) != 1 {
				t.Fatalf("the host made %q, %v", made, err)
			}
			if err := os.RemoveAll(made[0]); err != nil {
				t.Fatal(err)
			}
			if err := again(); err != nil {
				t.Fatal(err)
			}
			for p.Status().Generation == generation { // the crash is not seen yet
				time.Sleep(time.Millisecond)
			}
			// What the chain's constructor is lent is called on the new socket.
			if _, err := head(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestUpgrade replaces the programs of a relayer and a median under load: no call fails, those that may not be repeated
// included, and a program that is broken leaves the old one serving.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	program := filepath.Join(t.TempDir(), "plugin")
	write(t, program, "exec "+os.Args[0])
	relayer, err := relayerv1loophost.LaunchRelayer(t.Context(),
		r, loophost.PluginSettings{Name: "relayer", Command: []string{program}, Hint: "check it"})
	if err != nil {
		t.Fatal(err)
	}
	median, err := medianv1loophost.LaunchMedian(t.Context(), r,
		loophost.PluginSettings{Name: "median", Command: []string{program}, Hint: "check it"})
	if err != nil {
		t.Fatal(err)
	}
	plugin := instance(t, r, median, providerOf(newChain(r, relayer, "")))
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls, failed atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				// Not bound to ctx: the end of the load must not cut a call.
				if _, err := patiently(t.Context(), plugin.ShouldAcceptFinalizedReport,
					&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: firstRound}); err != nil {
					failed.Add(1)
					t.Errorf("a call that may not be repeated: %v", err)
				}
				if _, err := patiently(t.Context(), plugin.Report,
					&reportingv1.ReportRequest{Timestamp: firstRound}); err != nil {
					failed.Add(1)
					t.Errorf("a call that is forwarded: %v", err)
				}
				calls.Add(2)
			}
		})
	}
	for i := range 5 {
		for _, p := range []*loophost.Plugin{relayer.Plugin, median.Plugin} {
			if err := p.Restart(t.Context()); err != nil {
				t.Fatalf("restart %d of %s: %v", i, p.Name(), err)
			}
		}
	}
	write(t, program, "echo broken >&2; exit 7")
	before := relayer.Status()
	if err := relayer.Restart(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "ended before its handshake (exit status 7; it said: broken)") {
		t.Errorf("a broken program: %v", err)
	}
	if after := relayer.Status(); after.Generation != before.Generation || after.State != supervise.Ready ||
		after.PID != before.PID {
		t.Errorf("the old process does not serve any more: %+v", after)
	}
	cancel()
	load.Wait()
	t.Logf("%d calls, %d failed", calls.Load(), failed.Load())
	if s := relayer.Status(); s.Generation != 6 {
		t.Errorf("after 5 restarts the generation is %d", s.Generation)
	} else if s.Restarts != 0 || s.LastExit != "it was asked to end" {
		t.Errorf("what was asked for counts as %d restarts, and the last generation is said to have ended so: %s", s.Restarts,
			s.LastExit)
	}
}

// A plugin that is pinned starts from the program whose checksum it is pinned to: another is refused by a restart,
// while the old process serves on, and by a relaunch, which the status explains.
func TestPinned(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	program := filepath.Join(t.TempDir(), "plugin")
	sum := func() string {
		content, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(content))
	}
	write(t, program, "exec "+os.Args[0])
	pinned := sum()
	s := loophost.PluginSettings{Name: "fake", Command: []string{program}, Hint: "check it",
		SHA256: []string{strings.Repeat("0", 64)}}
	mismatch := func(have, want string) string {
		return fmt.Sprintf("plugin fake: %s has the SHA-256 checksum %s and is pinned to %s: install the build that is "+
			"pinned, or pin this one; check it", program, have, want)
	}
	if _, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s); err == nil ||
		err.Error() != mismatch(pinned, s.SHA256[0]) {
		t.Fatalf("a program that it is not pinned to: %v", err)
	}
	s.SHA256[0] = pinned
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	c := newChain(r, p, "")
	if _, err := head(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	files, err := p.Checksums()
	if d := cmp.Diff([]process.Checksum{{Path: program, SHA256: pinned}}, files); d != "" || err != nil {
		t.Errorf("its files: %v (-want +got):\n%s", err, d)
	}
	write(t, program, "exec "+os.Args[0]+" # by somebody else")
	other := sum()
	before := p.Status()
	if err := p.Restart(t.Context()); err == nil || err.Error() != mismatch(other, pinned) {
		t.Errorf("a restart with another program: %v", err)
	}
	if after := p.Status(); after.PID != before.PID || after.Generation != 1 || !after.Pinned {
		t.Errorf("the old process does not serve any more: %+v", after)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Error(err)
	}
	kill(t, p.Plugin)
	for p.Status().State != supervise.Quarantined {
		_, _ = head(t.Context(), c)
	}
	if got := p.Status().LastExit; "plugin fake: "+got != mismatch(other, pinned) {
		t.Errorf("the last generation ended: %s", got)
	}
	if files, err := p.Checksums(); len(files) > 0 || err != nil {
		t.Errorf("a plugin without a process was started from %v, %v", files, err)
	}
	write(t, program, "exec "+os.Args[0])
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	s := settings(outOfProcess, "fake")
	s.MemoryLimit = 256 << 20
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	c := newChain(r, p, "glutton")
	for p.Status().Generation == 1 {
		_, _ = head(t.Context(), c) // ends with the process that it fattens
	}
	ready(t, p.Plugin, 2)
	if s := p.Status(); !strings.Contains(s.LastExit, "its limit is 256 MiB") {
		t.Fatalf("the last generation ended: %s", s.LastExit)
	}
}

// TestMemoryLimitDuringAHealthCheck has a process pass its limit, by a child, while it owes the answer to a health
// check.
func TestMemoryLimitDuringAHealthCheck(t *testing.T) {
	t.Parallel()
	r := newRuntimeOf(t, loophost.Settings{HealthInterval: time.Millisecond, HealthTimeout: time.Hour})
	s := settings(outOfProcess, "fake")
	s.MemoryLimit = 256 << 20
	dir := t.TempDir()
	s.Confine.Read = []string{dir}
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), newChain(r, p, "parent "+pipe)); err != nil {
		t.Fatal(err)
	}
	signal(t, p.Status().PID, syscall.SIGSTOP)
	if err := os.WriteFile(pipe, []byte("eat"), 0); err != nil {
		t.Fatal(err)
	}
	ready(t, p.Plugin, 2)
	if s := p.Status(); !strings.Contains(s.LastExit, "its limit is 256 MiB") {
		t.Errorf("the last generation ended: %s", s.LastExit)
	}
}

func TestRestartLiftsQuarantine(t *testing.T) {
	t.Parallel()
	r := newRuntime(t)
	program := filepath.Join(t.TempDir(), "plugin")
	write(t, program, "exec "+os.Args[0])
	p, err := relayerv1loophost.LaunchRelayer(t.Context(),
		r, loophost.PluginSettings{Name: "fake", Command: []string{program}, Hint: "check it"})
	if err != nil {
		t.Fatal(err)
	}
	c := newChain(r, p, "")
	write(t, program, "exit 1")
	kill(t, p.Plugin)
	for p.Status().State != supervise.Quarantined {
		// The pauses before quarantine take a second or so; callers wait for them on their own deadlines.
		_, _ = head(t.Context(), c)
	}
	if _, err := head(t.Context(), c); err == nil || !strings.Contains(err.Error(), "plugin fake is quarantined") {
		t.Fatalf("a call on a plugin in quarantine: %v", err)
	}
	write(t, program, "exec "+os.Args[0])
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := head(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestRestartAgainstClose restarts a plugin while its runtime ends, in many orders, and once after the end: each
// returns, the host lives, and nothing is left of it.
func TestRestartAgainstClose(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	const orders = 24
	for order := range orders {
		r, err := loophost.New(loophost.Settings{SocketDir: base, StopTimeout: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		// It ends at once, so that its starts take little time and are at every step when the runtime ends.
		p, err := r.Launch(t.Context(), relayerv1loop.RelayerKind(), loophost.PluginSettings{
			Name: "fake", Command: []string{"true"}, Hint: "check it", Patient: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		var restarts sync.WaitGroup
		for each := range 4 {
			restarts.Go(func() {
				time.Sleep(time.Duration(order*4+each) * 100 * time.Microsecond)
				if p.Restart(t.Context()) == nil {
					t.Error("a program that is no plugin took over")
				}
			})
		}
		time.Sleep(orders / 2 * 4 * 100 * time.Microsecond)
		r.Close(t.Context())
		restarts.Wait()
		if err := p.Restart(t.Context()); err == nil || err.Error() != "plugin fake: the host has ended" {
			t.Errorf("a restart after the end: %v", err)
		}
		if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
			t.Fatalf("the host left %v, %v", left, err)
		}
	}
}
