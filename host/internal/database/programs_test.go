package database

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// One program is kept for each plugin: the latest.
func TestPrograms(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	_, err := d.Program(ctx, "acme", "01")
	wantError(t, err, ErrNotFound, `plugin "acme"`)
	other := Program{Plugin: "median", Checksum: "02", Kind: "median", Description: []byte{}}
	if err := d.PutProgram(ctx, other); err != nil {
		t.Fatal(err)
	}
	for _, want := range []Program{
		{Plugin: "acme", Checksum: "01", Kind: "relayer", Description: []byte{0, 1}},
		{Plugin: "acme", Checksum: "02", Kind: "relayer", Description: []byte{2}},
	} {
		if err := d.PutProgram(ctx, want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Program(ctx, "acme", want.Checksum)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	_, err = d.Program(ctx, "acme", "01")
	wantError(t, err, ErrNotFound)
	got, err := d.Program(ctx, "median", "02")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(other, got); diff != "" {
		t.Error(diff)
	}
}

// A job's latest validation goes with it.
func TestJobValidation(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job, err := d.AddJob(ctx, Job{ExternalID: "a", Validation: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]byte{{1}, {2, 0}, {}} {
		if err := d.PutJobValidation(ctx, job.ID, want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Job(ctx, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Validation); diff != "" {
			t.Error(diff)
		}
	}
	wantError(t, d.PutJobValidation(ctx, job.ID+1, nil), ErrNotFound, "job 2")
}
