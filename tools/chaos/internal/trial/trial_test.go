package trial

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFigures(t *testing.T) {
	t.Parallel()
	ms := func(n ...int) (all []time.Duration) {
		for _, x := range n {
			all = append(all, time.Duration(x)*time.Millisecond)
		}
		return all
	}
	for name, test := range map[string]struct {
		add  func(*Report)
		want Figure
	}{
		"met": {func(r *Report) { r.Times("a", ms(30, 10, 20), 3, 20*time.Millisecond, 30*time.Millisecond) },
			Figure{What: "a", Must: "median ≤ 20 ms, max ≤ 30 ms, 3 of 3", Got: "median 20 ms, max 30 ms, 3 of 3", Met: true,
				N: 3, Median: 20, Max: 30, Unit: "ms"}},
		"median missed": {func(r *Report) { r.Times("a", ms(10, 21, 22), 3, 20*time.Millisecond, 0) },
			Figure{What: "a", Must: "median ≤ 20 ms, 3 of 3", Got: "median 21 ms, max 22 ms, 3 of 3", N: 3, Median: 21, Max: 22,
				Unit: "ms"}},
		"max missed": {func(r *Report) { r.Times("a", ms(1, 31), 2, 0, 30*time.Millisecond) },
			Figure{What: "a", Must: "max ≤ 30 ms, 2 of 2", Got: "median 31 ms, max 31 ms, 2 of 2", N: 2, Median: 31, Max: 31,
				Unit: "ms"}},
		"one missing": {func(r *Report) { r.Times("a", ms(1), 2, 0, time.Second) },
			Figure{What: "a", Must: "max ≤ 1.0 s, 2 of 2", Got: "median 1.0 ms, max 1.0 ms, 1 of 2", N: 1, Median: 1, Max: 1,
				Unit: "ms"}},
		"all missing": {func(r *Report) { r.Times("a", nil, 2, 0, time.Second) },
			Figure{What: "a", Must: "max ≤ 1.0 s, 2 of 2", Got: "0 of 2", Unit: "ms"}},
		"no bound": {func(r *Report) { r.Span("a", ms(1, 3, 2)) },
			Figure{What: "a", Got: "median 2.0 ms, max 3.0 ms, 3 of 3", Met: true, N: 3, Median: 2, Max: 3, Unit: "ms"}},
		"a number": {func(r *Report) {
			r.AtMost("a", "KiB", 7.25, 7.5)
		}, Figure{What: "a", Must: "≤ 7.5 KiB", Got: "7.2 KiB", Met: true}},
		"a number too high": {func(r *Report) { r.AtMost("a", "", 1, 0) }, Figure{What: "a", Must: "≤ 0", Got: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Report
			test.add(&r)
			if d := cmp.Diff([]Figure{test.want}, r.Figures); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	load := func() float64 { return 1.5 }
	for name, test := range map[string]struct {
		run func(context.Context, *Report) error
		met bool
	}{
		"met": {func(_ context.Context, r *Report) error { r.AtMost("a", "", 0, 0); r.Tell("b", "c"); return nil }, true},
		"missed": {func(_ context.Context, r *Report) error { r.AtMost("a", "", 0, 0); r.AtMost("b", "", 1, 0); return nil },
			false},
		"error": {func(_ context.Context, r *Report) error { r.AtMost("a", "", 0, 0); return errors.New("no") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := Hold(t.Context(), Trial{Name: "x", Run: test.run}, false, load); r.Met() != test.met ||
				r.Load != [2]float64{1.5, 1.5} {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	page := "before\n" + begin + "\n" + head + "| `a` | old |\n| `b` | kept |\n| `gone` | dropped |\n" + end + "\nafter\n"
	results := []Result{{Name: "a", Fault: "f", Established: "e", Load: [2]float64{1, 2}, Error: "no|pe",
		Figures: []Figure{
			{What: "w", Must: "m", Got: "g", Met: true}, {What: "v", Must: "m", Got: "h"}}}}
	got, err := replace(page, results, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	want := "before\n" + begin + "\n" + head + strings.Join([]string{
		"| `a` | f | w | m | g | e | 2.0 |",
		"| `a` |  | v | m | **missed**: h |  | 2.0 |",
		"| `a` |  | the trial itself | is held | **not held**: no\\|pe |  | 2.0 |",
		"| `b` | kept |",
	}, "\n") + "\n" + end + "\nafter\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again, err := replace(got, results, []string{"a", "b", "c"}); err != nil || again != got {
		t.Errorf("written twice it differs: %v\n%s", err, cmp.Diff(got, again))
	}
	if _, err := replace("no table", results, nil); err == nil {
		t.Error("a page without a table was written")
	}
}
