package relayertest

import (
	"testing"
	"time"
)

// Within waits until a condition holds, and fails the test if that takes longer than limit. A machine that is busy with other
// things is not what the limit is about: by how much it wakes this test late is measured all along, beyond the little that is
// usual, and as much is added to the limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	const pause, usual = 10 * time.Millisecond, 20 * time.Millisecond
	var late time.Duration
	began := time.Now()
	for !holds() {
		if took := time.Since(began); took > limit+late {
			t.Fatalf("after %s, of which the machine was late by %s, not so: %s", took.Round(time.Millisecond), late.Round(time.Millisecond), what)
		}
		asleep := time.Now()
		time.Sleep(pause)
		late += max(0, time.Since(asleep)-usual)
	}
	t.Logf("after %s, of which the machine was late by %s: %s", time.Since(began).Round(time.Millisecond), late.Round(time.Millisecond), what)
}
