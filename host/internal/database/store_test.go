package database

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func wantVersion(t *testing.T, err error, want VersionError) {
	t.Helper()
	var got *VersionError
	if !errors.As(err, &got) {
		t.Fatalf("error %v is no VersionError", err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Error(diff)
	}
}

func TestStoreVersions(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	s := d.Store(Scope{PluginKind: "evm", Chain: "1", Account: "0xAb"})

	_, err := s.Get(ctx, "k")
	wantError(t, err, ErrNotFound, `"k"`, "evm/1/0xAb")
	_, err = s.Put(ctx, "k", []byte("a"), 1)
	wantVersion(t, err, VersionError{Key: "k", Expected: 1})
	for expected, value := range []string{"a", "", "c"} {
		version, err := s.Put(ctx, "k", []byte(value), uint64(expected))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Entry{Key: "k", Value: []byte(value), Version: uint64(expected) + 1}, got); diff != "" {
			t.Error(diff)
		}
		if version != got.Version {
			t.Errorf("put says %d, get %d", version, got.Version)
		}
	}
	for _, stale := range []uint64{0, 2, 4, math.MaxInt64, math.MaxUint64} {
		_, err := s.Put(ctx, "k", []byte("x"), stale)
		wantVersion(t, err, VersionError{Key: "k", Expected: stale, Current: 3})
		if stale == 0 {
			continue
		}
		wantVersion(t, s.Delete(ctx, "k", stale), VersionError{Key: "k", Expected: stale, Current: 3})
	}
	if got, err := s.Get(ctx, "k"); err != nil || string(got.Value) != "c" {
		t.Errorf("a refused write was kept: %v, %v", got, err)
	}
	for range 2 { // deleting again is not an error
		if err := s.Delete(ctx, "k", 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after delete: %v", err)
	}
	if version, err := s.Put(ctx, "k", nil, 0); err != nil || version != 1 {
		t.Errorf("put after delete: %d, %v", version, err)
	}
}

func TestStoreScopesAreApart(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	scopes := []Scope{{}, {PluginKind: "a"}, {Chain: "a"}, {Account: "a"}, {"a", "a", ""}, {"a", "", "a"}, {"a", "a", "a"}}
	for i, scope := range scopes {
		if _, err := d.Store(scope).Put(t.Context(), "k", []byte{byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, scope := range scopes {
		entries, more, err := d.Store(scope).List(t.Context(), "", "", 10)
		if err != nil || more {
			t.Fatal(more, err)
		}
		if diff := cmp.Diff([]Entry{{Key: "k", Value: []byte{byte(i)}, Version: 1}}, entries); diff != "" {
			t.Errorf("%v: %s", scope, diff)
		}
	}
}

func TestStoreBounds(t *testing.T) {
	t.Parallel()
	s := testOpen(t, testPath(t)).Store(Scope{PluginKind: "evm"})
	ctx := t.Context()
	longest, largest := strings.Repeat("\xff", MaxKeyLength), bytes.Repeat([]byte{7}, MaxValueLength)
	if _, err := s.Put(ctx, longest, largest, 0); err != nil {
		t.Fatal(err)
	}
	entries, more, err := s.List(ctx, longest, "", MaxPage)
	if err != nil || more || len(entries) != 1 || !bytes.Equal(entries[0].Value, largest) || entries[0].Key != longest {
		t.Errorf("%d entries, %v, %v", len(entries), more, err)
	}
	tests := map[string]struct {
		call func() error
		part string
	}{
		"put without key":    {func() error { _, err := s.Put(ctx, "", nil, 0); return err }, "key has 0 bytes"},
		"get without key":    {func() error { _, err := s.Get(ctx, ""); return err }, "key has 0 bytes"},
		"delete without key": {func() error { return s.Delete(ctx, "", 0) }, "key has 0 bytes"},
		"put long key":       {func() error { _, err := s.Put(ctx, longest+"a", nil, 0); return err }, "key has 513 bytes"},
		"put large value": {func() error { _, err := s.Put(ctx, "k", append(largest, 0), 0); return err },
			"value has 65537 bytes"},
		"list long prefix":    {func() error { _, _, err := s.List(ctx, longest+"a", "", 1); return err }, "prefix"},
		"list after long key": {func() error { _, _, err := s.List(ctx, "", longest+"a", 1); return err }, "begin after"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.call()
			wantError(t, err, ErrInvalid, test.part)
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestStoreModel compares a store with a map under random calls.
func TestStoreModel(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	// Few letters make prefixes, neighbours and repeats likely; \xff and \x00 are
	// where ranges of bytes go wrong.
	keys := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 'é', 0}), 0, 3, -1)
	keys = rapid.OneOf(keys, rapid.SampledFrom([]string{"\xff", "\xff\xff", "a\xff", "a\xff\xff", "b\xffa"}))
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		s := d.Store(Scope{PluginKind: "model", Chain: fmt.Sprint(run)})
		model := map[string]Entry{}
		expect := func(rt *rapid.T, key string) uint64 {
			return rapid.OneOf(rapid.Just(model[key].Version), rapid.Uint64Range(0, 4)).Draw(rt, "expected")
		}
		check := func(rt *rapid.T, key string, expected uint64, err error) bool {
			var mismatch *VersionError
			switch current := model[key].Version; {
			case current == expected && err == nil:
				return true
			case current != expected && errors.As(err, &mismatch) && *mismatch == (VersionError{key, expected, current}):
				return false
			default:
				rt.Fatalf("key %q has version %d; expecting %d gave %v", key, current, expected, err)
				return false
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				key := keys.Filter(func(key string) bool { return key != "" }).Draw(rt, "key")
				value := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "value")
				expected := expect(rt, key)
				version, err := s.Put(ctx, key, value, expected)
				if check(rt, key, expected, err) {
					if version != expected+1 {
						rt.Fatalf("version %d after %d", version, expected)
					}
					model[key] = Entry{Key: key, Value: value, Version: version}
				}
			},
			"delete": func(rt *rapid.T) {
				key := keys.Filter(func(key string) bool { return key != "" }).Draw(rt, "key")
				expected := expect(rt, key)
				err := s.Delete(ctx, key, expected)
				if model[key].Version == 0 || expected == 0 {
					if err != nil {
						rt.Fatal(err)
					}
				} else if !check(rt, key, expected, err) {
					return
				}
				delete(model, key)
			},
			"list": func(rt *rapid.T) {
				prefix, after := keys.Draw(rt, "prefix"), keys.Draw(rt, "after")
				limit := rapid.IntRange(1, 5).Draw(rt, "limit")
				var want []Entry
				for _, key := range slices.Sorted(maps.Keys(model)) {
					if strings.HasPrefix(key, prefix) && key > after {
						want = append(want, model[key])
					}
				}
				wantMore := len(want) > limit
				got, more, err := s.List(ctx, prefix, after, limit)
				if err != nil {
					rt.Fatal(err)
				}
				if diff := cmp.Diff(want[:min(limit, len(want))], got); diff != "" || more != wantMore {
					rt.Fatalf("prefix %q after %q limit %d: more %v, want %v\n%s", prefix, after, limit, more, wantMore, diff)
				}
			},
			"get": func(rt *rapid.T) {
				key := keys.Filter(func(key string) bool { return key != "" }).Draw(rt, "key")
				got, err := s.Get(ctx, key)
				want, exists := model[key]
				if exists != (err == nil) || !exists && !errors.Is(err, ErrNotFound) {
					rt.Fatalf("key %q: %v", key, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatal(diff)
				}
			},
			// After every action. All keys that can be drawn fit one page.
			"": func(rt *rapid.T) {
				got, more, err := s.List(ctx, "", "", MaxPage)
				if err != nil || more {
					rt.Fatal(more, err)
				}
				var want []Entry
				for _, key := range slices.Sorted(maps.Keys(model)) {
					want = append(want, model[key])
				}
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatal(diff)
				}
			},
		})
	})
}

func TestStoreBoundsPages(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	for i := range MaxPage + 1 {
		_, err := d.exec(t.Context(), buffered,
			"INSERT INTO store_entries VALUES ('evm', '', '', $1, $2, 1)", fmt.Appendf(nil, "%03d", i), []byte{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{-1, 0, MaxPage, MaxPage + 1, math.MaxInt} {
		entries, more, err := d.Store(Scope{PluginKind: "evm"}).List(t.Context(), "", "", limit)
		if err != nil || !more || len(entries) != MaxPage {
			t.Errorf("limit %d: %d entries, more %v, %v", limit, len(entries), more, err)
		}
	}
}

// Pages of large values are shorter, and have every entry all the same.
func TestStoreBoundsBytesOfPages(t *testing.T) {
	t.Parallel()
	s := testOpen(t, testPath(t)).Store(Scope{PluginKind: "evm"})
	const entries = 40
	for i := range entries {
		if _, err := s.Put(t.Context(), fmt.Sprintf("%03d", i), make([]byte, MaxValueLength), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen, after := 0, ""
	for more := true; more; {
		var page []Entry
		var err error
		if page, more, err = s.List(t.Context(), "", after, MaxPage); err != nil {
			t.Fatal(err)
		}
		if n := len(page); n > 17 || more && n < 16 || n == 0 {
			t.Errorf("a page of %d entries of 64 KiB", n)
			break
		}
		seen, after = seen+len(page), page[len(page)-1].Key
	}
	if seen != entries {
		t.Errorf("the pages have %d entries of %d", seen, entries)
	}
}

func TestStorePages(t *testing.T) {
	t.Parallel()
	s := testOpen(t, testPath(t)).Store(Scope{PluginKind: "evm"})
	ctx := t.Context()
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("tx/%02d", i))
	}
	for _, key := range append(slices.Clone(want), "tw", "tx", "ty", "tx0") {
		if _, err := s.Put(ctx, key, []byte(key), 0); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	after, more := "", true
	for more {
		var entries []Entry
		var err error
		if entries, more, err = s.List(ctx, "tx/", after, 5); err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			got = append(got, entry.Key)
		}
		after = got[len(got)-1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Of writers that expect the same version one wins, so a counter that each raises
// by retrying ends at the number of raises.
func TestStoreConcurrentWriters(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	const writers, raises = 8, 10
	raise := func(s *Store) error {
		for {
			var count byte
			entry, err := s.Get(t.Context(), "counter")
			if err == nil {
				count = entry.Value[0]
			} else if !errors.Is(err, ErrNotFound) {
				return err
			}
			_, err = s.Put(t.Context(), "counter", []byte{count + 1}, entry.Version)
			if mismatch := (*VersionError)(nil); !errors.As(err, &mismatch) {
				return err
			}
		}
	}
	var group sync.WaitGroup
	errs := make(chan error, writers*raises)
	for range writers {
		group.Go(func() {
			s := d.Store(Scope{PluginKind: "evm"})
			for range raises {
				errs <- raise(s)
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Store(Scope{PluginKind: "evm"}).Get(t.Context(), "counter")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Entry{Key: "counter", Value: []byte{writers * raises}, Version: writers * raises},
		got); diff != "" {
		t.Error(diff)
	}
}

// writerPathVariable makes the test binary a child that puts without end into the
// database it names.
const writerPathVariable = "LOOP_TEST_DATABASE_WRITER"

func writerValue(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 100+i) }

func putForever(path string) {
	ctx := context.Background()
	d, err := Open(ctx, Settings{Path: path})
	for i := 0; err == nil; i++ {
		_, err = d.Store(Scope{PluginKind: "evm"}).Put(ctx, fmt.Sprintf("%06d", i), writerValue(i), 0)
		if err == nil {
			fmt.Println(i) // an answered Put; os.Stdout has no buffer
		}
	}
	fmt.Println(err)
}

func TestPutSurvivesKill(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	const before = 50
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), writerPathVariable+"="+path)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	answered := 0
	for lines.Scan() {
		if lines.Text() != fmt.Sprint(answered) {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		if answered++; answered == before {
			if _, err := Open(t.Context(), Settings{Path: path}); err == nil {
				t.Error("opened beside the child")
			} else {
				wantError(t, err, nil, fmt.Sprintf("process %d", child.Process.Pid))
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the child ended with %v", err)
	}
	if answered < before {
		t.Fatalf("only %d answers", answered)
	}
	s := testOpen(t, path).Store(Scope{PluginKind: "evm"})
	for i := range answered {
		got, err := s.Get(t.Context(), fmt.Sprintf("%06d", i))
		if err != nil {
			t.Fatal(err)
		}
		if got.Version != 1 || !bytes.Equal(got.Value, writerValue(i)) {
			t.Fatalf("key %d came back changed", i)
		}
	}
}

func TestReopenKeepsAll(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	ctx := t.Context()
	d := testOpen(t, path)
	job := testJob(t, d, "a")
	key := Key{Kind: "p2p", ID: "x", Public: []byte("{}"), Sealed: []byte("s")}
	bridge, err := d.AddBridge(ctx, Bridge{Name: "a", URL: "http://a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		d.AddKeys(ctx, key),
		d.OCR2(job.ID).WriteState(ctx, digestOf(1), testState),
		d.OCR2(job.ID).StorePendingTransmission(ctx, at(1, 1, 1), testPending),
		d.Announcements("own").StoreAnnouncement(ctx, "p", []byte("x")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Store(Scope{PluginKind: "evm"}).Put(ctx, "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || !slices.Equal(left, []string{path, path + ".lock"}) {
		t.Errorf("closing left %v, %v", left, err)
	}

	d = testOpen(t, path)
	if got, err := d.Job(ctx, job.ID); err != nil || !cmp.Equal(job, got) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.Bridge(ctx, "a"); err != nil || !cmp.Equal(bridge, got) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.Keys(ctx); err != nil || len(got) != 1 || !bytes.Equal(got[0].Sealed, key.Sealed) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.OCR2(job.ID).ReadState(ctx, digestOf(1)); err != nil || !cmp.Equal(&testState, got) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.OCR2(job.ID).PendingTransmissionsWithConfigDigest(ctx, digestOf(1)); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.Announcements("own").ReadAnnouncements(ctx, []string{"p"}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := d.Store(Scope{PluginKind: "evm"}).Get(ctx, "k"); err != nil || got.Version != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
