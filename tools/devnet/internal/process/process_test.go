package process

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the programs that the tests start: fakes, not nodes.
func TestMain(m *testing.M) {
	switch os.Getenv("FAKE") {
	case "":
		goleak.VerifyTestMain(m)
	case "good":
		say("ready")
		time.Sleep(time.Minute) // far longer than a test
	case "failing":
		for i := range 30 {
			say("line", i)
		}
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		say("ready")
		time.Sleep(time.Minute) // far longer than a test
	case "parent", "group":
		// A child of the parent's group, or in a session of its own, as a plugin of a node may be, that no signal to the
		// group reaches.
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "FAKE=stubborn")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: os.Getenv("FAKE") == "parent"}
		if err := child.Start(); err != nil {
			panic(err)
		}
		say("child", child.Process.Pid)
		time.Sleep(time.Minute) // far longer than a test
	case "launcher":
		l, err := NewLauncher()
		if err != nil {
			panic(err)
		}
		p, err := l.Start(Command{Path: os.Args[0], Env: append(os.Environ(), "FAKE=stubborn"), LogFile: os.Getenv("LOG")})
		if err != nil {
			panic(err)
		}
		say("child", p.PID())
		time.Sleep(time.Minute) // far longer than a test
	}
}

func say(words ...any) { fmt.Println(words...) }

func launch(t *testing.T, fake string) *Process {
	t.Helper()
	l, err := NewLauncher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := l.Start(Command{
		Path: os.Args[0], Env: append(os.Environ(), "FAKE="+fake), LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	return p
}

// await waits for a line that begins with a word, and returns the rest of it.
func (p *Process) await(t *testing.T, word string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for line := range strings.Lines(p.Tail(100)) {
			if rest, ok := strings.CutPrefix(line, word); ok {
				return strings.TrimSpace(rest)
			}
		}
	}
	t.Fatalf("no line %q in %q", word, p.Tail(100))
	return ""
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		fake  string
		grace time.Duration
		want  string
	}{
		"process that listens":      {"good", time.Minute, "signal: terminated"},
		"process that does not":     {"stubborn", 50 * time.Millisecond, "signal: killed"},
		"process that has children": {"parent", time.Minute, "signal: terminated"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := launch(t, test.fake)
			if test.fake == "parent" {
				p.await(t, "child")
			} else {
				p.await(t, "ready")
			}
			p.Stop(test.grace)
			if got := p.Exit(); got != test.want {
				t.Errorf("ended with %q, want %q", got, test.want)
			}
			p.Stop(test.grace) // once more does no harm
		})
	}
}

// Of a process that has ended, the group's number may be another's.
func TestStopOfOneThatHasEnded(t *testing.T) {
	p := launch(t, "group")
	child := number(t, p.await(t, "child"))
	p.Kill()
	p.Stop(0)
	if !alive(child) {
		t.Error("the group was stopped")
	}
}

func TestExitAndTail(t *testing.T) {
	p := launch(t, "failing")
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Fatal("still runs")
	}
	if got, want := p.Exit(), "exit status 3"; got != want {
		t.Errorf("ended with %q, want %q", got, want)
	}
	if got, want := p.Tail(2), "line 28\nline 29"; got != want {
		t.Errorf("tail %q, want %q", got, want)
	}
}

func TestStartFails(t *testing.T) {
	l, err := NewLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = l.Start(Command{Path: filepath.Join(t.TempDir(), "absent"), LogFile: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got error %v, want no such file", err)
	}
}

// TestCloseKillsOrphans proves that what a killed process leaves behind does not outlive its Launcher.
func TestCloseKillsOrphans(t *testing.T) {
	l, err := NewLauncher()
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Start(Command{
		Path: os.Args[0], Env: append(os.Environ(), "FAKE=parent"), LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	orphan := number(t, p.await(t, "child"))
	p.Stop(0)
	if !alive(orphan) {
		t.Fatal("the orphan is dead already; the test proves nothing")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(orphan) {
		t.Errorf("process %d outlives the Launcher", orphan)
	}
}

// TestKill proves that a kill hits the process alone, and that what it leaves behind is waited for when it ends.
func TestKill(t *testing.T) {
	l, err := NewLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := l.Start(Command{
		Path: os.Args[0], Env: append(os.Environ(), "FAKE=parent"), LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	orphan := number(t, p.await(t, "child"))
	p.Kill()
	p.Kill() // once more does no harm
	if !p.Killed() {
		t.Errorf("it ended with %q, and not by the kill", p.Exit())
	}
	l.Inherit(orphan)
	if !alive(orphan) {
		t.Fatal("the kill hit the child too")
	}
	if err := syscall.Kill(orphan, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	folder := fmt.Sprintf("/proc/%d", orphan)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		l.Inherit()
		if _, err := os.Stat(folder); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody waited for the orphan %d", orphan)
		}
	}
}

// TestInheritLeavesItsOwn proves that a number which passed on to a process of the Launcher's is left to that.
func TestInheritLeavesItsOwn(t *testing.T) {
	own := exec.Command(os.Args[0])
	own.Env = append(os.Environ(), "FAKE=failing")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); alive(own.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still runs")
		}
	}
	l := &Launcher{own: map[int]bool{own.Process.Pid: true}}
	l.Inherit(own.Process.Pid)
	if err := own.Wait(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("ended with %v: somebody else waited for it", err)
	}
	p := launch(t, "failing")
	if p.Killed() {
		t.Errorf("%q is a kill for it", p.Exit())
	}
}

// TestDeathOfLauncherKills proves that a process does not outlive a program that was killed with its Launcher in it.
func TestDeathOfLauncherKills(t *testing.T) {
	fake := exec.Command(os.Args[0])
	fake.Env = append(os.Environ(), "FAKE=launcher", "LOG="+filepath.Join(t.TempDir(), "log"))
	output, err := fake.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child := number(t, strings.TrimSpace(strings.TrimPrefix(line, "child")))
	if !alive(child) {
		t.Fatal("the child is dead already; the test proves nothing")
	}
	if err := fake.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, output)
	_ = fake.Wait()
	for deadline := time.Now().Add(time.Minute); alive(child); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatalf("process %d outlives the program that started it", child)
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alive says whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	return !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}
