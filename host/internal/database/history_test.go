package database

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Runs and errors of many jobs are written at once, the newest of each are kept, and those of a removed job disturb
// nobody.
func TestHistory(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	a, b := testJob(t, d, "a").ID, testJob(t, d, "b").ID
	at := func(seconds int64) time.Time { return time.Unix(1_700_000_000+seconds, 0).UTC() }
	run := func(job, id int64) JobRun {
		return JobRun{JobID: job, ID: id, StartedAt: at(id), Content: fmt.Append(nil, id)}
	}
	fault := func(job int64, kind string, n, last int64) JobError {
		return JobError{JobID: job, Kind: kind, Message: kind + "!", Occurrences: uint64(n), FirstAt: at(0), LastAt: at(last)}
	}
	put := func(h History) {
		t.Helper()
		h.MostRuns, h.MostErrors = 3, 2
		if err := d.PutHistory(ctx, h); err != nil {
			t.Fatal(err)
		}
	}
	wantRuns := func(job, before int64, limit int, want ...JobRun) {
		t.Helper()
		got, err := d.JobRuns(ctx, job, before, limit)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("runs of job %d: %v %s", job, err, diff)
		}
	}
	wantErrors := func(job int64, want ...JobError) {
		t.Helper()
		got, err := d.JobErrors(ctx, job)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("errors of job %d: %v %s", job, err, diff)
		}
	}
	wantRuns(a, math.MaxInt64, 10)
	wantErrors(a)
	put(History{
		Runs:   []JobRun{run(a, 1), run(b, 1), run(a, 2), run(99, 1), run(a, 4)},
		Errors: []JobError{fault(a, "x", 1, 5), fault(99, "x", 1, 5), fault(a, "y", 1, 6)},
	})
	put(History{Runs: []JobRun{run(a, 9), run(a, 9)},
		Errors: []JobError{fault(a, "x", 4, 8), fault(a, "z", 1, 9), fault(b, "x", 2, 4)}})
	wantRuns(a, math.MaxInt64, 10, run(a, 9), run(a, 4), run(a, 2))
	wantRuns(a, 9, 1, run(a, 4))
	wantRuns(b, math.MaxInt64, 10, run(b, 1))
	wantErrors(a, fault(a, "x", 4, 8), fault(a, "z", 1, 9))
	wantErrors(b, fault(b, "x", 2, 4))
	if err := d.ForgetHistory(ctx, at(9)); err != nil {
		t.Fatal(err)
	}
	wantRuns(a, math.MaxInt64, 10, run(a, 9))
	wantRuns(b, math.MaxInt64, 10)
	wantErrors(a, fault(a, "z", 1, 9))
	wantErrors(b)
}
