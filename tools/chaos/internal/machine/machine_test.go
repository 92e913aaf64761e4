package machine

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// sleeper starts a process that does nothing and has files open. Its name has all characters at which a line of /proc
// is split.
func sleeper(t *testing.T, files ...*os.File) *exec.Cmd {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	// A shell of its own, which has a child, and waits.
	script := filepath.Join(t.TempDir(), "a) S 1 (b")
	if err := executable.Write(script, []byte("#!/bin/sh\n"+sleep+" 60 & echo; wait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(script)
	c.ExtraFiles = files
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range append(Descendants(c.Process.Pid), c.Process.Pid) {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
		_ = c.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil { // its child is there
		t.Fatal(err)
	}
	return c
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	c := sleeper(t)
	pid := c.Process.Pid
	if !Alive(pid) || Parent(pid) != os.Getpid() || Resident(pid) == 0 {
		t.Errorf("process %d: alive %t, parent %d of %d, %d bytes", pid, Alive(pid), Parent(pid), os.Getpid(), Resident(pid))
	}
	children := Descendants(pid)
	if len(children) != 1 || Parent(children[0]) != pid {
		t.Fatalf("the children of %d are %v", pid, children)
	}
	if all := Descendants(os.Getpid()); !slices.Contains(all, pid) || !slices.Contains(all, children[0]) {
		t.Errorf("%d and its child %d are not among the descendants %v", pid, children[0], all)
	}
	if child, err := os.FindProcess(children[0]); err != nil || child.Kill() != nil {
		t.Fatal("the child cannot be killed")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Nobody has waited for it: it is there, and dead.
	for deadline := time.Now().Add(time.Minute); Alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a killed process is alive")
		}
	}
	if Parent(pid) != os.Getpid() {
		t.Error("it is gone although nobody waited for it; the test proves nothing")
	}
	_ = c.Wait()
	if Alive(pid) || Parent(pid) != 0 || Resident(pid) != 0 || len(Descendants(pid)) != 0 {
		t.Errorf("process %d is gone: alive %t, parent %d", pid, Alive(pid), Parent(pid))
	}
	for what, count := range map[string]func(int) (int, error){"descriptors": Descriptors, "connections": Connections} {
		if _, err := count(pid); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the %s of a process that is gone: %v", what, err)
		}
	}
}

// TestDescriptors counts in other processes: this one opens and closes files at any time.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	var files []*os.File
	for _, socket := range []any{tcp, client, unix} { // two of TCP; that of a file is no connection
		file, err := socket.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	for _, name := range []string{"some.db", "some.db-wal", "other"} {
		file, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	some := func(pid int) (int, error) { return Files(pid, "some.db") }
	bare, holding := sleeper(t).Process.Pid, sleeper(t, files...).Process.Pid
	for what, test := range map[string]struct {
		count func(int) (int, error)
		more  int
	}{"descriptors": {Descriptors, 6}, "connections": {Connections, 2}, "files": {some, 2}} {
		without, err := test.count(bare)
		if err != nil {
			t.Fatal(err)
		}
		with, err := test.count(holding)
		if err != nil {
			t.Fatal(err)
		}
		if with-without != test.more {
			t.Errorf("%d %s, and %d with %d more", without, what, with, test.more)
		}
	}
	if n, err := Descriptors(os.Getpid()); err != nil || n < 3 {
		t.Errorf("this process has %d descriptors: %v", n, err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	if load := Load(); load < 0 || load > 1e6 {
		t.Errorf("the load is %f", load)
	}
}

func TestPeak(t *testing.T) {
	t.Parallel()
	grown := Peak()
	// The kernel's: Go's memory may be resident from before.
	block, err := syscall.Mmap(-1, 0, 64<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1 // pages that nobody wrote are not resident
	}
	most := grown()
	if err := syscall.Munmap(block); err != nil {
		t.Fatal(err)
	}
	if most < 32<<20 {
		t.Errorf("64 MiB are a growth of %d MiB", most>>20)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	left := 5
	least, err := Settle(30*time.Millisecond, time.Minute, func() (int, error) {
		if left > 2 {
			left--
		}
		return left, nil
	})
	if err != nil || least != 2 {
		t.Errorf("what went down to 2 settled at %d: %v", least, err)
	}
	// The least count is the result, even if the count grows after it.
	grows := 0
	if least, err := Settle(30*time.Millisecond, time.Minute, func() (int, error) {
		grows++
		return grows, nil
	}); err != nil || least != 1 {
		t.Errorf("what began with 1 settled at %d: %v", least, err)
	}
	begin := time.Now()
	falls := 1 << 30
	if _, err := Settle(time.Minute, 50*time.Millisecond, func() (int, error) {
		falls--
		return falls, nil
	}); err != nil || time.Since(begin) > 30*time.Second {
		t.Errorf("the limit did not hold: %s, %v", time.Since(begin), err)
	}
	no := errors.New("no")
	if _, err := Settle(time.Minute, time.Minute, func() (int, error) { return 0, no }); !errors.Is(err, no) {
		t.Errorf("an error at once: %v", err)
	}
	calls := 0
	if _, err := Settle(time.Minute, time.Minute, func() (int, error) {
		if calls++; calls > 1 {
			return 0, no
		}
		return 0, nil
	}); !errors.Is(err, no) {
		t.Errorf("an error later: %v", err)
	}
}
