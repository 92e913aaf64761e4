package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// machines are the faults of what the node runs on. Those of disks need a file system of its own, which root alone may
// have.
func machines() chapter {
	return chapter{
		title: "The machine",
		about: "The disk, the clock and the processes of the machine that the node runs on.",
		faults: []fault{
			{
				name: "the disk of the database is nearly full",
				make: func(s *scene) { s.fill(2 << 20) },
				says: says{
					status: "degraded", alerts: []string{"LoopDatabaseDegraded"},
					parts: []component{{"database", "degraded", "its disk is nearly full: … MiB of 64 are left", "make room on " +
						"the disk of …"}},
				},
				todo: "free space on the disk that holds RootDir",
			},
			{
				name:   "the disk of the database is full",
				make:   func(s *scene) { s.fill(0) },
				within: 2 * patience,
				says: says{
					status: "failing", alerts: []string{"LoopDatabaseFailed"},
					parts: []component{{"database", "failed", "its disk is full: … KiB are left", "make room on the disk of …"}},
					may:   []component{{"job 1 (machine)", "degraded", "no report has reached the relayer for …", "…"}},
				},
				todo: "free space on the disk that holds RootDir; then the node goes on by itself",
			},
			{
				name: "the machine's clock is a minute fast",
				make: (*scene).haste,
				// The observations show the clock, and the fault counts once it has lasted since the first of them.
				within: 2 * patience,
				says: says{
					may:    unsteady("machine"),
					status: "degraded", alerts: []string{"LoopJobDegraded"},
					job: &job{"degraded", "this machine's clock is 1m… ahead of most peers'",
						"have a time server keep this machine's clock, such as by chrony"},
				},
			},
			{
				name:   "an isolated job's plugin is killed again and again",
				make:   func(s *scene) { s.again(fmt.Sprintf("median-%d", s.id), syscall.SIGKILL) },
				within: 2 * patience,
				says: says{
					may:    unsteady("machine"),
					status: "degraded", alerts: []string{"LoopPluginDegraded"},
					parts: []component{{"plugin median-1", "degraded", "plugin median-1 has ended … times in the last 10m0s, " +
						"last: …signal: killed…", "see its log by loop plugins logs median-1"}},
				},
				todo: "see who kills it: the kernel's log says if memory ran out",
			},
			{
				name: "the node does not run",
				make: func(s *scene) { _ = s.node.process.Process.Kill() },
				says: says{
					exit: 4, alerts: []string{"LoopNodeDown"},
					stderr: "loop: no node answers at …loop.sock (…); start one with: loop node start, or name another with " +
						"--socket or --url",
				},
				todo: "see its last lines, and start it again",
			},
		},
	}
}

// room is the folder that has a file system of its own.
func (s *scene) room() string { return s.node.root() }

// small has the row's node run with a small file system where its database lies, if this user may make one.
func (s *scene) small() {
	if err := os.MkdirAll(s.room(), 0o700); err != nil {
		s.t.Fatal(err)
	}
	const mount = `mount -t tmpfs -o size=64m tmpfs "$ROOM" && exec "$0" "$@"`
	wrap := []string{"/usr/bin/unshare", "--mount", "/bin/sh", "-c", mount}
	try := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...)
	try.Env = append(os.Environ(), "ROOM="+s.room())
	if said, err := try.CombinedOutput(); err != nil {
		s.t.Logf("no file system can be made here, so that the faults of disks are left out: %v %s", err, said)
		return
	}
	s.node.wrap = wrap
	s.environ("ROOM=" + s.room())
}

// fill takes what is left of the small file system, but for some bytes.
func (s *scene) fill(leave int64) {
	if s.node.wrap == nil {
		s.t.Skip("the node's disk is that of others too")
	}
	name := filepath.Join("/proc", strconv.Itoa(s.node.process.Process.Pid), "root", s.room(), "other")
	file, err := os.Create(name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	s.undo(func() { _ = os.Remove(name) })
	var taken int64
	for _, size := range []int{1 << 20, 4 << 10} { // as close as it gets
		for full := false; !full; {
			n, err := file.Write(make([]byte, size))
			taken, full = taken+int64(n), err != nil
		}
	}
	if err := file.Truncate(taken - leave); err != nil {
		s.t.Fatal(err)
	}
}

// pythonKey names the interpreter in whose environment the median in Python is: make test-faults sets it.
const pythonKey = "LOOP_TEST_PYTHON"

// haste gives the node a median whose clock is a minute fast. No program can be given a clock of its own but one whose
// language lets it be replaced.
func (s *scene) haste() {
	python := os.Getenv(pythonKey)
	if python == "" {
		s.t.Skip("the median in Python is not installed: run make python")
	}
	file := s.script("median.ill", fmt.Sprintf("exec %s -c '%s'", python, `
import time
right = time.time
time.time = lambda: right() + 60
from loop_median_python.__main__ import main
main()`))
	again := func() { s.signal(fmt.Sprintf("median-%d", s.id), syscall.SIGKILL) }
	again()
	s.undo(func() {
		if err := os.Remove(file); err != nil {
			s.t.Error(err)
		}
		again() // and not the node, whose disk is its own
	})
}

// gone ends the node, which nobody can ask any more.
func (s *scene) gone(f fault) {
	s.t.Helper()
	f.make(s)
	_ = s.node.process.Wait() // it was killed
	s.tells(f, "", "jobs", "list")
	fires := false
	s.poll(patience, func() bool {
		fires = !s.watches() || slices.Contains(s.firing(s.t, s.node, s.id), f.says.alerts[0])
		return fires
	})
	if !fires {
		s.t.Errorf("the alert %s does not fire", f.says.alerts[0])
	}
}

// runMachines makes them one after another on a node whose feed goes on.
func runMachines(t *testing.T, at *scene) {
	at.on(t).follow()
	for _, f := range machines().faults {
		t.Run(f.name, func(t *testing.T) {
			if s := at.on(t); f.says.exit == 0 {
				s.live(f)
			} else {
				s.gone(f)
			}
		})
	}
}
