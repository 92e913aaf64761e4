package database

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

func price(amount int64) JuelsPerFeeCoin {
	return JuelsPerFeeCoin{Amount: big.NewInt(amount), Time: time.Now().UTC()}
}

func TestReportingInfo(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job := testJob(t, d, "a").ID
	_, err := d.ReportingInfo(ctx, job, digestOf(1))
	wantError(t, err, ErrNotFound, "reporting limits of job 1")
	for _, want := range []types.ReportingPluginInfo{
		{},
		{Name: "median", UniqueReports: true, Limits: types.ReportingPluginLimits{
			MaxQueryLength: math.MaxInt, MaxObservationLength: types.MaxMaxObservationLength, MaxReportLength: 3,
		}},
	} {
		if err := d.PutReportingInfo(ctx, job, digestOf(1), want); err != nil {
			t.Fatal(err)
		}
		got, err := d.ReportingInfo(ctx, job, digestOf(1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	_, err = d.ReportingInfo(ctx, job, digestOf(2))
	wantError(t, err, ErrNotFound)
}

func TestAcceptedKeepsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job, other := testJob(t, d, "a").ID, testJob(t, d, "b").ID
	_, err := d.Accepted(ctx, job, at(1, 2, 3))
	wantError(t, err, ErrNotFound, "epoch 2", "round 3")

	for _, answer := range []bool{true, false} {
		got, err := d.PutAccepted(ctx, job, at(1, 2, 3), answer)
		if err != nil || got != true {
			t.Errorf("put %v: %v, %v", answer, got, err)
		}
	}
	for when, want := range map[types.ReportTimestamp]bool{
		at(2, 2, 3): false, at(1, 3, 3): true, at(1, 2, 4): false,
	} {
		if got, err := d.PutAccepted(ctx, job, when, want); err != nil || got != want {
			t.Errorf("%v: %v, %v", when, got, err)
		}
		if got, err := d.Accepted(ctx, job, when); err != nil || got != want {
			t.Errorf("%v: %v, %v", when, got, err)
		}
	}
	if got, err := d.Accepted(ctx, job, at(1, 2, 3)); err != nil || got != true {
		t.Errorf("%v, %v", got, err)
	}
	_, err = d.Accepted(ctx, other, at(1, 2, 3))
	wantError(t, err, ErrNotFound)
}

func TestAcceptedIsPruned(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job := testJob(t, d, "a").ID
	put := func(when types.ReportTimestamp) {
		t.Helper()
		if got, err := d.PutAccepted(ctx, job, when, true); err != nil || !got {
			t.Fatalf("%v: %v, %v", when, got, err)
		}
	}
	put(at(2, 0, 0)) // another config's answers are counted apart
	const rounds = 7
	when := func(i int) types.ReportTimestamp { return at(1, uint32(i/rounds+1), uint8(i%rounds)) }
	const total = acceptedKept + 10
	// A thousand calls of put take seconds under the race detector.
	err := d.write(ctx, buffered, func(tx *transaction) error {
		for i := range acceptedKept {
			at := when(i)
			if _, err := tx.ExecContext(ctx, "INSERT INTO accepted_reports VALUES ($1, $2, $3, $4, TRUE)",
				job, at.ConfigDigest[:], at.Epoch, at.Round); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := acceptedKept; i < total; i++ {
		put(when(i))
	}
	for i := range total {
		_, err := d.Accepted(ctx, job, when(i))
		if kept := err == nil; kept != (i >= total-acceptedKept) {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	if _, err := d.Accepted(ctx, job, at(2, 0, 0)); err != nil {
		t.Error(err)
	}
	put(at(1, 0, 0)) // older than all that is kept: answered, not stored
	_, err = d.Accepted(ctx, job, at(1, 0, 0))
	wantError(t, err, ErrNotFound)
	if _, err := d.Accepted(ctx, job, when(total-acceptedKept)); err != nil {
		t.Error(err)
	}
}

func TestJuelsPerFeeCoin(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job := testJob(t, d, "a").ID
	_, err := d.JuelsPerFeeCoin(ctx, job)
	wantError(t, err, ErrNotFound)
	huge, ok := new(big.Int).SetString("-6277101735386680763835789423207666416102355444464034512896", 10)
	if !ok {
		t.Fatal("bad number")
	}
	for _, want := range []JuelsPerFeeCoin{price(0), {Amount: huge, Time: time.Unix(0, 1).UTC()}} {
		if err := d.PutJuelsPerFeeCoin(ctx, job, want); err != nil {
			t.Fatal(err)
		}
		got, err := d.JuelsPerFeeCoin(ctx, job)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
			t.Error(diff)
		}
	}
	wantError(t, d.PutJuelsPerFeeCoin(ctx, job, JuelsPerFeeCoin{}), ErrInvalid, "nil")
}
