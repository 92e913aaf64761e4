package relayertest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Within waits until a condition holds, and fails the test if that takes longer than limit. The limit does not include
// the load of the machine: Within adds the time for which threads of this process were ready but did not run, and the
// delay with which this test itself is woken.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	const pause, usual = 10 * time.Millisecond, 20 * time.Millisecond
	began, starved, late := time.Now(), starvation(), time.Duration(0)
	for !holds() {
		if took := time.Since(began); took > limit+late {
			if late = max(late, starvation()-starved); took > limit+late {
				t.Fatalf("after %s, of which the machine was late by %s, not so: %s", took.Round(time.Millisecond),
					late.Round(time.Millisecond), what)
			}
		}
		asleep := time.Now()
		time.Sleep(pause)
		late += max(0, time.Since(asleep)-usual)
	}
	t.Logf("after %s: %s", time.Since(began).Round(time.Millisecond), what)
}

// starvation is how long, in all, the threads of this process have waited for a processor; 0 if the system does not
// tell.
func starvation() (waited time.Duration) {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ran, ready time.Duration // nanoseconds, both
		if _, err := fmt.Sscan(string(text), &ran, &ready); err == nil {
			waited += ready
		}
	}
	return waited
}
