package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const printed = `goos: linux
cpu: Some Processor
BenchmarkBoundary/call/c=64-2   	      12	         0.21 process-p50/plain	         5.0 process-rate/plain
BenchmarkStandby/go             	       1	        80.59 longest-ms
BenchmarkBroken-2 --- FAIL
PASS
`
	got, err := parse(strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	want := results{
		"Boundary/call/c=64": {"process-p50/plain": 0.21, "process-rate/plain": 5},
		"Standby/go":         {"longest-ms": 80.59},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := parse(strings.NewReader("BenchmarkX-2 1 two ns/op\n")); err == nil {
		t.Error("a value that is not a number is taken")
	}
}

// A pattern of benchmarks selects all of them, and so does one for each alone.
func TestPattern(t *testing.T) {
	t.Parallel()
	names := benchmarks(figures())
	for _, name := range names {
		for _, of := range [][]string{{name}, names} {
			levels := strings.Split(pattern(of), "/")
			for at, part := range strings.Split("Benchmark"+name, "/") {
				if !regexp.MustCompile(levels[at]).MatchString(part) {
					t.Errorf("%s of %s is not run by %s", part, name, levels[at])
				}
			}
		}
	}
}

// rounds are those of one figure: what it was and what it is, in turns.
func rounds(f figure, pairs ...[2]float64) (all []round) {
	for _, p := range pairs {
		all = append(all, round{{f.benchmark: {f.metric: p[0]}}, {f.benchmark: {f.metric: p[1]}}})
	}
	return all
}

func TestWorsened(t *testing.T) {
	t.Parallel()
	less := figure{what: "p50", benchmark: "A", metric: "p50"}
	more := figure{what: "rate", benchmark: "A", metric: "process-rate/plain", bound: bound{least: 3}}
	for name, c := range map[string]struct {
		f     figure
		pairs [][2]float64
		bad   bool
	}{
		"as before":          {less, [][2]float64{{1, 1}, {1, 1.1}, {1, .9}}, false},
		"longer":             {less, [][2]float64{{1, 1.2}, {1, 1.3}, {1, 1.2}}, true},
		"shorter":            {less, [][2]float64{{1, .5}, {1, .5}, {1, .5}}, false},
		"once disturbed":     {less, [][2]float64{{1, 9}, {1, 1.1}, {1, 1}}, false},
		"rounds disagree":    {less, [][2]float64{{1, 1.2}, {1, 1.2}, {1, 1.2}, {1, .9}, {1, .8}}, false},
		"a lower rate":       {more, [][2]float64{{4, 3}, {4, 3}, {4, 3}}, true},
		"a higher rate":      {more, [][2]float64{{3, 4}, {3, 4}, {3, 4}}, false},
		"of one commit only": {less, [][2]float64{{0, 1}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := len(worsened([]figure{c.f}, rounds(c.f, c.pairs...))) > 0; got != c.bad {
				t.Errorf("worsened: %t; want %t", got, c.bad)
			}
		})
	}
}

// A figure whose benchmark has another name now is found; one that the base alone lacks is not missed.
func TestUnmeasured(t *testing.T) {
	t.Parallel()
	kept, renamed := figure{what: "kept", benchmark: "A", metric: "p50"}, figure{what: "renamed", benchmark: "B", metric: "p50"}
	all := []round{{{}, {"A": {"p50": 1}}}, {{"B": {"p50": 1}}, {"A": {"p50": 1}}}}
	if got := named(unmeasured([]figure{kept, renamed}, all)); !slices.Equal(got, []string{"renamed"}) {
		t.Errorf("got %q", got)
	}
}

// A page keeps what stands outside of its lines, and names every figure, measured or not.
func TestPage(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(page, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := results{
		"Boundary/call/c=1": {"process-p50/plain": 0.444, "process-cpu/plain": 0.4, "grpc-p50/plain": 1.2,
			"grpc-cpu/plain": 1.3},
		"Boundary/call/c=64": {"process-rate/plain": 2.5},
		"Feeds/n=10":         {"round-ms": 1.5, "goroutines": 99},
	}
	if err := write(page, all, "a machine"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{
		"before\n<!--", "-->\nafter\n", "\na machine\n", "| a call, one caller: p50 | ≤ 0.45 | 0.44 |",
		"| processor time of a round, ms | – | 1.50 | – | – | – |", "| node: goroutines more | – | 99 | – | – | – |",
		"| a call, 64 callers: rate | ≥ 3 | **2.50** |", "](performance.svg)", "| a call, node to plugin | 1 | 0.44 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %q:\n%s", want, got)
		}
	}
	for _, f := range figures() {
		if !strings.Contains(got, "| "+f.what+" |") {
			t.Errorf("the page has no row %q", f.what)
		}
	}
	if strings.Contains(got, "old\n") {
		t.Error("the page keeps the figures of before")
	}
	plot, err := os.ReadFile(strings.TrimSuffix(page, ".md") + ".svg")
	if err != nil || !strings.Contains(string(plot), ">0.44</text>") {
		t.Errorf("the plot: %v\n%s", err, plot)
	}
}

// Where there is nothing to compare with, a sentence says so.
func TestBase(t *testing.T) {
	t.Parallel()
	git := func(of map[string]string) func(...string) (string, error) {
		return func(args ...string) (string, error) {
			for prefix, answer := range of {
				if strings.HasPrefix(strings.Join(args, " "), prefix) {
					return answer, nil
				}
			}
			return "", os.ErrNotExist
		}
	}
	for name, c := range map[string]struct {
		git         map[string]string
		commit, why string
	}{
		"no history": {map[string]string{"rev-parse HEAD": "a"}, "", "there is no commit HEAD~1 to compare with."},
		"main itself": {map[string]string{"rev-parse HEAD": "a", "merge-base": "a",
			"rev-parse --short --verify --quiet HEAD~1": "b"}, "b", ""},
		"a branch": {map[string]string{"rev-parse HEAD": "a", "merge-base": "c",
			"rev-parse --short --verify --quiet c": "c"}, "c", ""},
		"nothing changed": {map[string]string{"rev-parse HEAD": "a", "merge-base": "c",
			"rev-parse --short --verify --quiet c": "c", "diff --quiet c": ""}, "",
			"nothing that the boundary is made of has changed since c."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if commit, why := baseOf(git(c.git), ""); commit != c.commit || why != c.why {
				t.Errorf("got %q, %q; want %q, %q", commit, why, c.commit, c.why)
			}
		})
	}
}
