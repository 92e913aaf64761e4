package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseInitTrace(t *testing.T) {
	t.Parallel()
	trace := `init internal/bytealg @0.006 ms, 0.001 ms clock, 0 bytes, 0 allocs
init github.com/example/tables @1.2 ms, 118.25 ms clock, 96 bytes, 2 allocs
a line of the program's own: init @ nothing
init half @1.2 ms
{"level":"info"}
init main @140 ms, 0 ms clock, 0 bytes, 0 allocs
`
	want := map[string]time.Duration{
		"internal/bytealg":          time.Microsecond,
		"github.com/example/tables": 118*time.Millisecond + 250*time.Microsecond,
		"main":                      0,
	}
	if diff := cmp.Diff(want, parseInitTrace(strings.NewReader(trace))); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}
}

func TestBusyRunsDoNotCount(t *testing.T) {
	t.Parallel()
	run := func(a, b time.Duration) map[string]time.Duration { return map[string]time.Duration{"a": a, "b": b} }
	got := least([]map[string]time.Duration{run(9, 7), run(1, 9), run(2, 8), run(90, 6), {"b": 7}})
	if diff := cmp.Diff(run(1, 6), got); diff != "" {
		t.Errorf("least costs (-want +got):\n%s", diff)
	}
}

func TestOverLimit(t *testing.T) {
	t.Parallel()
	got := overLimit("bin/x", map[string]time.Duration{"slow": initLimit + 1, "fits": initLimit, "quick": 0})
	want := []string{"bin/x: initialising slow takes 5.000001ms, more than 5ms: build its tables at first use, or do " +
		"not link it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
