package database

import (
	"fmt"
	"strings"
	"testing"
)

// fill writes entries into a scope at once, which Put would take minutes for.
func fill(t *testing.T, d *Database, scope Scope, entries int, value string) {
	t.Helper()
	if err := d.write(t.Context(), buffered, func(tx *transaction) error {
		for n := range entries {
			if _, err := tx.ExecContext(t.Context(),
				`INSERT INTO store_entries (plugin_kind, chain, account, entry_key, content, version) VALUES ($1, $2, $3, $4, $5, 1)`,
				scope.PluginKind, scope.Chain, scope.Account, []byte(fmt.Sprintf("%08d", n)), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A scope that is full takes what does not grow, and gives up entries; other scopes have their own room.
func TestStoreIsFull(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", MaxValueLength)
	for name, c := range map[string]struct {
		entries     int
		value, part string
	}{
		"entries": {MaxEntries, "", "it would have 65537 entries, and 65536 are the most; delete some"},
		"bytes":   {MaxStored / (MaxValueLength + 8), large, "have 67117056 bytes, and 67108864 are the most; delete some"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testPath(t)
			d := testOpen(t, path)
			scope := Scope{PluginKind: "evm", Chain: "1"}
			fill(t, d, scope, c.entries, c.value)
			for range 2 { // also when the node starts again
				s := d.Store(scope)
				for range 2 {
					_, err := s.Put(t.Context(), "one more", []byte(c.value), 0)
					wantError(t, err, ErrFull, "put key \"one more\" of store evm/1/: the store is full", c.part)
				}
				version := uint64(1)
				if entry, err := s.Get(t.Context(), "00000000"); err == nil {
					version = entry.Version
				}
				if _, err := s.Put(t.Context(), "00000000", []byte(c.value), version); err != nil {
					t.Errorf("what does not grow: %v", err)
				}
				if _, err := d.Store(Scope{PluginKind: "evm", Chain: "2"}).Put(t.Context(), path, nil, 0); err != nil {
					t.Errorf("another scope: %v", err)
				}
				if err := s.Delete(t.Context(), "00000001", 0); err != nil {
					t.Error(err)
				}
				if _, err := s.Put(t.Context(), "00000001", []byte(c.value), 0); err != nil {
					t.Errorf("in the place of what was deleted: %v", err)
				}
				if _, err := d.Store(Scope{PluginKind: "evm", Chain: "2"}).Put(t.Context(), path, nil, 1); err != nil {
					t.Errorf("another scope: %v", err)
				}
				if err := d.Store(Scope{PluginKind: "evm", Chain: "2"}).Delete(t.Context(), path, 0); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = testOpen(t, path)
			}
		})
	}
}

// The usage that is counted with each change is what the entries add up to.
func TestUsageIsCounted(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	scope := Scope{PluginKind: "evm"}
	s := d.Store(scope)
	steps := []func() error{
		func() error { _, err := s.Put(t.Context(), "a", []byte("12345"), 0); return err },
		func() error { _, err := s.Put(t.Context(), "bb", nil, 0); return err },
		func() error { _, err := s.Put(t.Context(), "a", []byte("1234567"), 1); return err },
		func() error { _, err := s.Put(t.Context(), "a", []byte("lost"), 1); return err }, // of a version that is gone
		func() error { _, err := s.Put(t.Context(), "a", []byte("1"), 2); return err },
		func() error { return s.Delete(t.Context(), "bb", 0) },
		func() error { return s.Delete(t.Context(), "bb", 0) },
	}
	for n, step := range steps {
		if err := step(); (err != nil) != (n == 3) {
			t.Fatal(n, err)
		}
		noted := d.usages.of[scope]
		d.usages.forget(scope)
		if err := d.write(t.Context(), buffered, func(tx *transaction) error {
			counted, err := d.usages.read(t.Context(), tx, scope)
			if counted != noted {
				t.Errorf("after step %d %+v is noted, and there are %+v", n, noted, counted)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		d.usages.note(scope, noted)
	}
}
