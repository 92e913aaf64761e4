package database

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

func TestOCR3Config(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	o := d.OCR3(testJob(t, d, "a").ID)
	if got, err := o.ReadConfig(t.Context()); got != nil || err != nil {
		t.Fatalf("before the first write: %v, %v", got, err)
	}
	want := types.ContractConfig{ConfigDigest: digestOf(7), OffchainConfigVersion: 30,
		Signers: []types.OnchainPublicKey{{1}}, Transmitters: []types.Account{"0xAb"}, OnchainConfig: []byte{},
		OffchainConfig: []byte{2}}
	if err := o.WriteConfig(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := o.ReadConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOldConfigs holds that what a job has kept under a config is there while libocr may come back to that config, and
// no longer.
func TestOldConfigs(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx, job, other := t.Context(), testJob(t, d, "a").ID, testJob(t, d, "b").ID
	fill := func(job int64, digest types.ConfigDigest) {
		t.Helper()
		err := d.OCR2(job).WriteState(ctx, digest, types.PersistentState{})
		_, accepted := d.PutAccepted(ctx, job, types.ReportTimestamp{ConfigDigest: digest, Epoch: 1}, true)
		_, attested := d.OCR3(job).PutAccepted(ctx, digest, 1, [sha256.Size]byte{1}, true)
		if err := errors.Join(err, accepted, attested, d.OCR3(job).WriteProtocolState(ctx, digest, "cert", []byte{1}),
			d.PutReportingInfo(ctx, job, digest, types.ReportingPluginInfo{})); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(job int64, digest types.ConfigDigest) (rows int) {
		t.Helper()
		state, err := d.OCR2(job).ReadState(ctx, digest)
		cert, certErr := d.OCR3(job).ReadProtocolState(ctx, digest, "cert")
		_, attested, attestedErr := d.OCR3(job).Accepted(ctx, digest, 1, [sha256.Size]byte{1})
		_, accepted := d.Accepted(ctx, job, types.ReportTimestamp{ConfigDigest: digest, Epoch: 1})
		_, info := d.ReportingInfo(ctx, job, digest)
		if err := errors.Join(err, certErr, attestedErr); err != nil {
			t.Fatal(err)
		}
		for _, there := range []bool{state != nil, cert != nil, attested, accepted == nil, info == nil} {
			if there {
				rows++
			}
		}
		return rows
	}
	fill(other, digestOf(1))
	for config := byte(1); config <= 4; config++ {
		fill(job, digestOf(config)) // libocr begins with a config before it writes that down
		for range 2 {               // and writes it again at each start
			if err := d.OCR3(job).WriteConfig(ctx, types.ContractConfig{ConfigDigest: digestOf(config)}); err != nil {
				t.Fatal(err)
			}
		}
		for of := byte(1); of <= config; of++ {
			want := 0
			if of+1 >= config {
				want = 5
			}
			if got := kept(job, digestOf(of)); got != want {
				t.Errorf("under config %d, %d rows of config %d are kept; want %d", config, got, of, want)
			}
		}
	}
	if got := kept(other, digestOf(1)); got != 5 {
		t.Errorf("of another job %d rows are kept; want 5", got)
	}
}

func TestProtocolState(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	ctx := t.Context()
	job := testJob(t, d, "a")
	o, other := d.OCR3(job.ID), d.OCR3(testJob(t, d, "b").ID)
	want := func(o *OCR3, digest types.ConfigDigest, key string, value []byte) {
		t.Helper()
		got, err := o.ReadProtocolState(ctx, digest, key)
		if err != nil || !bytes.Equal(got, value) || (got == nil) != (value == nil) {
			t.Errorf("%q of %s: %d bytes (nil: %t), %v; want %d (nil: %t)", key, digest, len(got), got == nil, err, len(value),
				value == nil)
		}
	}
	write := func(key string, value []byte) {
		t.Helper()
		if err := o.WriteProtocolState(ctx, digestOf(1), key, value); err != nil {
			t.Fatal(err)
		}
		want(o, digestOf(1), key, value)
	}
	want(o, digestOf(1), "cert", nil)
	write("cert", []byte{1})
	write("cert", bytes.Repeat([]byte{2}, 5<<20)) // the largest outcome
	write("pacemaker", []byte{3})
	write("empty", []byte{})
	want(o, digestOf(2), "cert", nil)
	want(other, digestOf(1), "cert", nil)
	write("pacemaker", nil) // removes it
	write("pacemaker", nil)

	// A restart finds what was written.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = testOpen(t, path)
	o = d.OCR3(job.ID)
	want(o, digestOf(1), "cert", bytes.Repeat([]byte{2}, 5<<20))
	want(o, digestOf(1), "pacemaker", nil)

	// With its job it is gone, and writes fail.
	if err := d.RemoveJob(ctx, job.ID); err != nil {
		t.Fatal(err)
	}
	want(o, digestOf(1), "cert", nil)
	wantError(t, o.WriteProtocolState(ctx, digestOf(1), "cert", []byte{1}), ErrNotFound,
		"protocol state \"cert\" of job 1", "the job does not exist")
}

func TestOCR3AcceptedKeepsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	o, other := d.OCR3(testJob(t, d, "a").ID), d.OCR3(testJob(t, d, "b").ID)
	report := func(n byte) [sha256.Size]byte { return [sha256.Size]byte{n} }
	want := func(o *OCR3, digest types.ConfigDigest, seqNr uint64, id byte, answer, known bool) {
		t.Helper()
		gotAnswer, gotKnown, err := o.Accepted(ctx, digest, seqNr, report(id))
		if err != nil || gotAnswer != answer || gotKnown != known {
			t.Errorf("seqNr %d, report %d: %t, known %t, error %v; want %t, known %t", seqNr, id, gotAnswer, gotKnown,
				err, answer, known)
		}
	}
	put := func(seqNr uint64, id byte, answer, kept bool) {
		t.Helper()
		if got, err := o.PutAccepted(ctx, digestOf(1), seqNr, report(id), answer); err != nil || got != kept {
			t.Errorf("put %t for seqNr %d, report %d: %t, %v; want %t", answer, seqNr, id, got, err, kept)
		}
	}
	want(o, digestOf(1), 1, 1, false, false)
	put(1, 1, true, true)
	put(1, 1, false, true)
	put(1, 2, false, false)
	put(1, 2, true, false)
	want(o, digestOf(1), 1, 1, true, true)
	want(o, digestOf(1), 1, 2, false, true)
	want(o, digestOf(1), 2, 1, false, false)
	want(o, digestOf(2), 1, 1, false, false)
	want(other, digestOf(1), 1, 1, false, false)

	// Old ones go, all those of a round at once.
	put(acceptedRounds, 1, true, true)
	want(o, digestOf(1), 1, 1, true, true)
	put(acceptedRounds+1, 1, true, true)
	want(o, digestOf(1), 1, 1, false, false)
	want(o, digestOf(1), 1, 2, false, false)
	want(o, digestOf(1), acceptedRounds, 1, true, true)

	_, err := o.PutAccepted(ctx, digestOf(1), math.MaxUint64, report(1), true)
	wantError(t, err, ErrInvalid, "9223372036854775807")
	want(o, digestOf(1), math.MaxUint64, 1, false, false)
}
