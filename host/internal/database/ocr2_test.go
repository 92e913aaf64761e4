package database

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"pgregory.net/rapid"
)

func digestOf(n byte) types.ConfigDigest { return types.ConfigDigest{0: 0, 1: 1, 31: n} }

func TestConfig(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	before, o, after := d.OCR2(testJob(t, d, "a").ID), d.OCR2(testJob(t, d, "b").ID), d.OCR2(testJob(t, d, "c").ID)
	tests := map[string]types.ContractConfig{
		"empty": {},
		"full": {
			ConfigDigest: digestOf(7), ConfigCount: math.MaxUint64,
			Signers:      []types.OnchainPublicKey{{1, 2}, {}, {0xff}},
			Transmitters: []types.Account{"0xAb", "", "not utf-8: \xff"},
			F:            255, OnchainConfig: []byte{0, 1}, OffchainConfigVersion: math.MaxUint64,
			OffchainConfig: bytes.Repeat([]byte{0xff}, 10_000),
		},
	}
	got, err := o.ReadConfig(t.Context())
	if got != nil || err != nil {
		t.Fatalf("before the first write: %v, %v", got, err)
	}
	for name, want := range tests {
		if err := o.WriteConfig(t.Context(), want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := o.ReadConfig(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, other := range []*OCR2{before, after} {
		if got, err := other.ReadConfig(t.Context()); got != nil || err != nil {
			t.Errorf("another job has it: %v, %v", got, err)
		}
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	before, o, after := d.OCR2(testJob(t, d, "a").ID), d.OCR2(testJob(t, d, "b").ID), d.OCR2(testJob(t, d, "c").ID)
	got, err := o.ReadState(t.Context(), digestOf(1))
	if got != nil || err != nil {
		t.Fatalf("before the first write: %v, %v", got, err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		digest := digestOf(rapid.Byte().Draw(rt, "digest"))
		want := types.PersistentState{
			Epoch:                rapid.Uint32().Draw(rt, "epoch"),
			HighestSentEpoch:     rapid.Uint32().Draw(rt, "sent"),
			HighestReceivedEpoch: rapid.SliceOfN(rapid.Uint32(), 0, types.MaxOracles).Draw(rt, "received"),
		}
		if err := o.WriteState(t.Context(), digest, want); err != nil {
			rt.Fatal(err)
		}
		got, err := o.ReadState(t.Context(), digest)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			rt.Error(diff)
		}
		for _, other := range []*OCR2{before, after} {
			if got, err := other.ReadState(t.Context(), digest); got != nil || err != nil {
				rt.Errorf("another job has it: %v, %v", got, err)
			}
		}
	})
}

func at(digest byte, epoch uint32, round uint8) types.ReportTimestamp {
	return types.ReportTimestamp{ConfigDigest: digestOf(digest), Epoch: epoch, Round: round}
}

func TestPendingTransmissions(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	o, other := d.OCR2(testJob(t, d, "a").ID), d.OCR2(testJob(t, d, "b").ID)
	now := time.Now().UTC()
	pending := func(due time.Time, report string) types.PendingTransmission {
		return types.PendingTransmission{
			Time: due.Round(0), ExtraHash: [32]byte{31: 9}, Report: types.Report(report),
			AttributedSignatures: []types.AttributedOnchainSignature{{Signature: []byte("s1"), Signer: 30},
				{Signature: []byte{}, Signer: 0}},
		}
	}
	bare := types.PendingTransmission{Time: now, Report: types.Report{}}
	want := map[types.ReportTimestamp]types.PendingTransmission{
		at(1, 0, 0):                            pending(now.Add(-time.Hour), "old"),
		at(1, math.MaxUint32, math.MaxUint8):   pending(now.Add(time.Nanosecond), "new"),
		at(1, math.MaxUint32, math.MaxUint8-1): bare,
	}
	check := func(want map[types.ReportTimestamp]types.PendingTransmission, o *OCR2, digest byte) {
		t.Helper()
		got, err := o.PendingTransmissionsWithConfigDigest(ctx, digestOf(digest))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	none := map[types.ReportTimestamp]types.PendingTransmission{}
	check(none, o, 1)

	for when, transmission := range want {
		// A second store of one timestamp replaces the first.
		if err := o.StorePendingTransmission(ctx, when, pending(now.Add(time.Hour), "replaced")); err != nil {
			t.Fatal(err)
		}
		if err := o.StorePendingTransmission(ctx, when, transmission); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := pending(now.Add(-time.Hour), "elsewhere")
	for _, database := range []*OCR2{o, other} {
		if err := database.StorePendingTransmission(ctx, at(2, 1, 1), elsewhere); err != nil {
			t.Fatal(err)
		}
	}
	check(want, o, 1)
	check(none, other, 1)

	if err := o.DeletePendingTransmissionsOlderThan(ctx, time.Time{}); err != nil {
		t.Fatal(err)
	}
	check(want, o, 1)
	// What was due exactly then is not older.
	if err := o.DeletePendingTransmissionsOlderThan(ctx, now); err != nil {
		t.Fatal(err)
	}
	delete(want, at(1, 0, 0))
	check(want, o, 1)
	check(none, o, 2)
	check(map[types.ReportTimestamp]types.PendingTransmission{at(2, 1, 1): elsewhere}, other, 2)

	for range 2 { // deleting again is not an error
		if err := o.DeletePendingTransmission(ctx, at(1, math.MaxUint32, math.MaxUint8)); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, at(1, math.MaxUint32, math.MaxUint8))
	check(want, o, 1)
}

func TestRemovedJobTakesItsRows(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	ctx := t.Context()
	job, kept := testJob(t, d, "a"), testJob(t, d, "b")
	fill := func(id int64) []error {
		o := d.OCR2(id)
		_, accepted := d.PutAccepted(ctx, id, at(1, 1, 1), true)
		_, acceptedOCR3 := d.OCR3(id).PutAccepted(ctx, digestOf(1), 1, [32]byte{}, true)
		return []error{
			o.WriteConfig(ctx, types.ContractConfig{}),
			o.WriteState(ctx, digestOf(1), types.PersistentState{}),
			o.StorePendingTransmission(ctx, at(1, 1, 1), types.PendingTransmission{}),
			d.PutReportingInfo(ctx, id, digestOf(1), types.ReportingPluginInfo{}),
			accepted,
			acceptedOCR3,
			d.OCR3(id).WriteProtocolState(ctx, digestOf(1), "cert", []byte{}),
			d.PutJuelsPerFeeCoin(ctx, id, price(1)),
		}
	}
	for _, id := range []int64{job.ID, kept.ID} {
		for _, err := range fill(id) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	past := History{MostRuns: 1, MostErrors: 1} // of both jobs; it is put again when one is removed
	for _, id := range []int64{job.ID, kept.ID} {
		past.Runs, past.Errors = append(past.Runs, JobRun{JobID: id}), append(past.Errors, JobError{JobID: id})
	}
	if err := d.PutHistory(ctx, past); err != nil {
		t.Fatal(err)
	}
	// Every table that names a job is asked, so that a new one cannot be forgotten.
	tables, err := all(ctx, d, func(row scanner) (table string, err error) {
		return table, row.Scan(&table)
	}, `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE c.name = 'job_id' ORDER BY m.name`)
	if err != nil {
		t.Fatal(err)
	}
	count := func(id int64) map[string]int {
		counts := map[string]int{}
		for _, table := range tables {
			var n int
			if err := d.reader.QueryRow(fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE job_id = $1", table),
				id).Scan(&n); err != nil {
				t.Fatal(err)
			}
			counts[table] = n
		}
		return counts
	}
	full := map[string]int{
		"accepted_reports": 1, "job_errors": 1, "job_runs": 1, "juels_per_fee_coin": 1, "ocr2_configs": 1,
		"ocr2_pending_transmissions": 1, "ocr2_states": 1, "ocr3_accepted_reports": 1, "ocr3_states": 1,
		"reporting_limits": 1,
	}
	if diff := cmp.Diff(full, count(job.ID)); diff != "" {
		t.Fatal(diff)
	}
	if err := d.RemoveJob(ctx, job.ID); err != nil {
		t.Fatal(err)
	}
	empty := map[string]int{}
	for table := range full {
		empty[table] = 0
	}
	if diff := cmp.Diff(empty, count(job.ID)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(full, count(kept.ID)); diff != "" {
		t.Error(diff)
	}
	if err := d.PutHistory(ctx, past); err != nil {
		t.Error(err)
	}
	for _, err := range fill(job.ID) {
		wantError(t, err, ErrNotFound, "the job does not exist", fmt.Sprintf("job %d", job.ID))
	}
}

func TestAnnouncements(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	own, other := d.Announcements("own"), d.Announcements("other")
	for _, announcement := range []string{"first", "second"} {
		if err := own.StoreAnnouncement(ctx, "p1", []byte(announcement)); err != nil {
			t.Fatal(err)
		}
	}
	if err := own.StoreAnnouncement(ctx, "p2", nil); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		from *Announcements
		ids  []string
		want map[string][]byte
	}{
		"known":      {own, []string{"p1", "p2", "p3"}, map[string][]byte{"p1": []byte("second"), "p2": {}}},
		"one":        {own, []string{"p1"}, map[string][]byte{"p1": []byte("second")}},
		"none asked": {own, nil, map[string][]byte{}},
		"other peer": {other, []string{"p1"}, map[string][]byte{}},
	}
	for name, test := range tests {
		got, err := test.from.ReadAnnouncements(ctx, test.ids)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
