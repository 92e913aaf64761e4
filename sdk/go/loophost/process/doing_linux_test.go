package process_test

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/process"
)

// TestTurns has two processes compute on one processor: each waits while the other runs.
func TestTurns(t *testing.T) {
	var processors, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &processors); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if processors.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	var pids [2]int
	for i := range pids {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() }) // killed by the context, which is cancelled before
		pids[i] = cmd.Process.Pid
		if err := unix.SchedSetaffinity(pids[i], &one); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	for {
		had, waited := process.Turns(pids[0])
		if min(had, waited) >= 100*time.Millisecond {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("after a minute it has had a processor for %s and has waited for %s", had, waited)
		}
		time.Sleep(time.Millisecond)
	}
	if had, waited := process.Turns(1 << 30); had != 0 || waited != 0 {
		t.Errorf("no process has had a processor for %s and has waited for %s", had, waited)
	}
}
