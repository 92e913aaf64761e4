package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerPathVariable); path != "" {
		putForever(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func testPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data", "loop.db")
}

func testOpen(t testing.TB, path string) *Database {
	t.Helper()
	d := testOpenUnsealed(t, path)
	if err := d.SealWith(t.Context(), testSealer{}); err != nil {
		t.Fatal(err)
	}
	return d
}

func testOpenUnsealed(t testing.TB, path string) *Database {
	t.Helper()
	d, err := Open(t.Context(), Settings{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func testJob(t testing.TB, d *Database, externalID string) Job {
	t.Helper()
	job, err := d.AddJob(t.Context(), Job{ExternalID: externalID, Name: "feed " + externalID, Spec: "type = 'x'"})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// wantError fails unless err wraps target and its text has every part.
func wantError(t *testing.T, err, target error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is not %q", err, target)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	testJob(t, d, "a")

	modes := map[string]string{}
	err := filepath.WalkDir(filepath.Dir(path), func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		modes[filepath.Base(name)] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"data":         "drwx------",
		"loop.db":      "-rw-------",
		"loop.db-wal":  "-rw-------",
		"loop.db-shm":  "-rw-------",
		"loop.db.lock": "-rw-------",
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
}

func TestOpenClosesALooseFile(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	d, err := Open(t.Context(), Settings{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if !strings.Contains(log.String(), "chmod 700") {
		t.Errorf("no warning of the open folder in %q", log.String())
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, path string) string
		parts   []string
	}{
		"no path": {
			func(*testing.T, string) string { return "" },
			[]string{"no path is set"},
		},
		"a folder": {
			func(t *testing.T, path string) string { return filepath.Dir(filepath.Dir(path)) },
			[]string{"is a directory"},
		},
		"no database": {
			func(t *testing.T, path string) string {
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(strings.Repeat("job spec ", 1000)), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			},
			[]string{"file is not a database"},
		},
		"a file in place of the folder": {
			func(t *testing.T, path string) string {
				if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			},
			[]string{"make its folder", "not a directory"},
		},
		"a newer version": {
			func(t *testing.T, path string) string {
				d := testOpen(t, path)
				if _, err := d.writer.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
					t.Fatal(err)
				}
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				return path
			},
			[]string{"newer version of loop", "9999", "upgrade loop"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Settings{Path: test.prepare(t, testPath(t))})
			wantError(t, err, nil, append(test.parts, "open database")...)
		})
	}
}

func TestOpenRefusesASecondNode(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	first := testOpen(t, path)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{path, link} {
		_, err := Open(t.Context(), Settings{Path: by})
		wantError(t, err, nil, "another node", fmt.Sprintf("process %d", os.Getpid()), "stop that node")
	}
	// The refused opener must not have loosened the first one's hold.
	testJob(t, first, "a")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	testOpen(t, path)
}

// A process that is just being started holds copies of this one's descriptors until it runs its own program.
func TestCloseUnlocksBesideACopyOfTheDescriptor(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d, err := Open(t.Context(), Settings{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	duplicate, err := syscall.Dup(int(d.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(duplicate)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	testOpen(t, path)
}

func TestOpenTakesAnyFileName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "50% of a?b#c&d;e", "nøde 'x'.db")
	d := testOpen(t, path)
	testJob(t, d, "a")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	jobs, err := testOpen(t, path).Jobs(t.Context())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
}

func TestOpenSetsPragmas(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	pragma := func(db interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}, name string) string {
		var value string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	got := map[string]string{}
	for _, name := range []string{"journal_mode", "foreign_keys", "busy_timeout"} {
		got["writer "+name] = pragma(d.writer, name)
		got["reader "+name] = pragma(d.reader, name)
	}
	got["reader query_only"] = pragma(d.reader, "query_only")
	for _, level := range []durability{flushed, buffered, flushed} {
		err := d.write(t.Context(), level, func(tx *transaction) error {
			got[string(level)] = pragma(tx.tx, "synchronous") // parsed each time, since it is answered then
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"writer journal_mode": "wal", "reader journal_mode": "wal",
		"writer foreign_keys": "1", "reader foreign_keys": "1",
		"writer busy_timeout": "5000", "reader busy_timeout": "5000",
		"reader query_only": "1",
		"FULL":              "2", "NORMAL": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The writer's only connection keeps the level of the last write.
func TestWritesAreAsDurableAsTheySay(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx := t.Context()
	job := testJob(t, d, "a").ID
	o, s := d.OCR2(job), d.Store(Scope{PluginKind: "evm"})
	tests := map[string]struct {
		write func() error
		want  durability
	}{
		"add job":    {func() error { _, err := d.AddJob(ctx, Job{ExternalID: "b"}); return err }, flushed},
		"add key":    {func() error { return d.AddKeys(ctx, Key{ID: "a"}) }, flushed},
		"put":        {func() error { _, err := s.Put(ctx, "put", nil, 0); return err }, flushed},
		"config":     {func() error { return o.WriteConfig(ctx, types.ContractConfig{}) }, flushed},
		"state":      {func() error { return o.WriteState(ctx, digestOf(1), testState) }, flushed},
		"pending":    {func() error { return o.StorePendingTransmission(ctx, at(1, 1, 1), testPending) }, buffered},
		"no pending": {func() error { return o.DeletePendingTransmission(ctx, at(1, 1, 1)) }, buffered},
		"accepted":   {func() error { _, err := d.PutAccepted(ctx, job, at(1, 1, 1), true); return err }, buffered},
		"juels":      {func() error { return d.PutJuelsPerFeeCoin(ctx, job, price(1)) }, buffered},
	}
	other := map[durability]durability{flushed: buffered, buffered: flushed}
	names := map[string]durability{"1": buffered, "2": flushed}
	for name, test := range tests {
		if err := d.write(ctx, other[test.want], func(*transaction) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := test.write(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var level string
		if err := d.writer.QueryRow("PRAGMA synchronous").Scan(&level); err != nil {
			t.Fatal(err)
		}
		if names[level] != test.want {
			t.Errorf("%s is %s, not %s", name, names[level], test.want)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := testPath(t)
	_, err := Open(ctx, Settings{Path: path})
	wantError(t, err, context.Canceled)
	testOpen(t, path) // the failed opener has released the lock
}

func TestClosed(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Jobs(t.Context()); err == nil {
		t.Error("a closed database answers")
	}
	if _, err := d.AddJob(t.Context(), Job{ExternalID: "a"}); err == nil {
		t.Error("a closed database writes")
	}
}

// A caller with a deadline must not stand behind a slow writer.
func TestWaitingWriterHonoursDeadline(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- d.write(context.Background(), buffered, func(*transaction) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := d.Store(Scope{PluginKind: "evm"}).Put(ctx, "k", nil, 0)
	wantError(t, err, context.DeadlineExceeded, "put key")

	// Readers go on meanwhile.
	if _, err := d.Jobs(t.Context()); err != nil {
		t.Error(err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Another process, such as the sqlite3 shell, may hold SQLite's own lock.
func TestForeignLockHonoursDeadline(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	other, err := sql.Open(driverName, dsn(path, "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err = d.AddJob(ctx, Job{ExternalID: "a"})
	wantError(t, err, context.DeadlineExceeded)
	if waited := time.Since(started); waited > busyTimeout*time.Millisecond/2 {
		t.Errorf("waited %v past a deadline of 20ms", waited)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	testJob(t, d, "a")
}

func TestCancelledWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := d.write(ctx, buffered, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO bridges (name, url, clear_url, created_at) VALUES ('a', '', '', 1)")
		cancel()
		return err
	})
	wantError(t, err, context.Canceled)
	_, err = d.Bridge(t.Context(), "a")
	wantError(t, err, ErrNotFound)
	testJob(t, d, "the connection still works")
}

func TestMigrationsUsePortableTypes(t *testing.T) {
	t.Parallel()
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := migrations.ReadFile("migrations/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "--") {
				continue
			}
			for _, word := range strings.Fields(strings.ToUpper(line)) {
				switch strings.Trim(word, "(),;") {
				case "BLOB", "AUTOINCREMENT", "ROWID", "STRICT", "SERIAL", "DATETIME", "JSONB", "INTEGER":
					t.Errorf("%s:%d: %s does not mean the same to SQLite and PostgreSQL", entry.Name(), number+1, word)
				}
			}
		}
	}
}

// TestCondition holds that the database's own faults are counted, and not what callers do wrong, and that its size is
// told.
func TestCondition(t *testing.T) {
	t.Parallel()
	d := testOpen(t, testPath(t))
	testJob(t, d, "a")
	before, err := d.Size()
	if err != nil || before <= 0 {
		t.Fatalf("size %d, %v", before, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, missing := d.Bridge(t.Context(), "nobody")
	_, again := d.AddJob(t.Context(), Job{ExternalID: "a", Spec: "x"})
	_, late := d.Jobs(ended)
	for name, err := range map[string]error{"a row that is not there": missing, "a row that is there": again,
		"a caller that went": late} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := d.Faults(); n != 0 {
		t.Errorf("%d faults, and none is the database's", n)
	}
	if _, err := d.writer.ExecContext(t.Context(), "DROP TABLE bridges"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Bridge(t.Context(), "nobody"); err == nil || d.Faults() != 1 {
		t.Errorf("%d faults after %v", d.Faults(), err)
	}
	for i := range 50 {
		testJob(t, d, fmt.Sprint(i, strings.Repeat("x", 4096)))
	}
	if after, err := d.Size(); err != nil || after <= before {
		t.Errorf("size %d, then %d, %v", before, after, err)
	}
}
