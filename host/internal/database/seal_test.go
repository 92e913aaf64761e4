package database

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// testSealer hides a text from those who search a file, and binds it to its row.
type testSealer struct{}

var errTestSealed = errors.New("it belongs to another row")

func (testSealer) Seal(table, name string, text []byte) []byte {
	sealed := []byte(table + " " + name + ": ")
	for _, b := range text {
		sealed = append(sealed, b^0x55)
	}
	return sealed
}

func (testSealer) Unseal(table, name string, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte(table+" "+name+": "))
	if !ok {
		return nil, errTestSealed
	}
	text := bytes.Clone(rest)
	for i := range text {
		text[i] ^= 0x55
	}
	return text, nil
}

// stored is everything in a database's folder.
func stored(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(filepath.Dir(path), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	if _, err := d.AddJob(t.Context(), Job{ExternalID: "in clear", Spec: "headers = 's3cr3t'"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddBridge(t.Context(), Bridge{Name: "open", URL: "http://u:s3cr3t@host/s3cr3t"}); err != nil {
		t.Fatal(err)
	}
	all := stored(t, path)
	if !strings.Contains(all, "in clear") || !strings.Contains(all, "open") {
		t.Error("the file is searched in the wrong way")
	}
	if strings.Contains(all, "s3cr3t") {
		t.Error("the file has the secret")
	}
}

// Before the keystore is open no secret comes or goes, and what it has sealed for another row it does not open.
func TestRowsThatDoNotOpen(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	d := testOpen(t, path)
	testJob(t, d, "a")
	if _, err := d.AddBridge(t.Context(), Bridge{Name: "a", URL: "http://a"}); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"UPDATE jobs SET external_id = 'b'", "UPDATE bridges SET name = 'b'"} {
		if _, err := d.exec(t.Context(), flushed, change); err != nil {
			t.Fatal(err)
		}
	}
	_, err := d.Jobs(t.Context())
	wantError(t, err, errTestSealed, "list jobs: the spec of job 1")
	_, err = d.Bridge(t.Context(), "b")
	wantError(t, err, errTestSealed, `read bridge "b"`)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = testOpenUnsealed(t, path)
	_, err = d.Jobs(t.Context())
	wantError(t, err, errNoSealer)
	_, err = d.Bridges(t.Context())
	wantError(t, err, errNoSealer)
	_, err = d.AddJob(t.Context(), Job{ExternalID: "c", Spec: "x"})
	wantError(t, err, errNoSealer, `"c"`)
	_, err = d.AddBridge(t.Context(), Bridge{Name: "c", URL: "http://c"})
	wantError(t, err, errNoSealer, `"c"`)
}

// clearFile makes a database from before rows were sealed: with jobs and bridges, and with remains of others.
func clearFile(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(driverName, dsn(path, "_pragma=journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	exec := func(statement string, args ...any) {
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 { // some of them in pages of their own
		spec := fmt.Sprintf("# s3cr3t %d %s", n, strings.Repeat("s3cr3t ", n*20))
		exec("INSERT INTO jobs (id, external_id, name, spec, created_at) VALUES ($1, $2, '', $3, 0)", n+1, fmt.Sprint(n),
			spec)
		exec("INSERT INTO bridges (name, url, created_at) VALUES ($1, $2, 0)", fmt.Sprint(n),
			fmt.Sprintf("http://s3cr3t@%d", n))
	}
	exec("DELETE FROM jobs WHERE id > 10")
	exec("DELETE FROM bridges WHERE name > '2'")
}

func TestClearRowsAreSealed(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	clearFile(t, path)
	if !strings.Contains(stored(t, path), "s3cr3t") {
		t.Fatal("the file of before has no secret")
	}
	d := testOpen(t, path)
	if strings.Contains(stored(t, path), "s3cr3t") {
		t.Error("the file has the secret still")
	}
	for range 2 {
		jobs, err := d.Jobs(t.Context())
		if err != nil || len(jobs) != 10 {
			t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		for n, job := range jobs {
			if !strings.HasPrefix(job.Spec, fmt.Sprintf("# s3cr3t %d ", n)) || len(job.Spec) < n*140 {
				t.Errorf("job %d has the spec %.32q", job.ID, job.Spec)
			}
		}
		if b, err := d.Bridge(t.Context(), "12"); err != nil || b.URL != "http://s3cr3t@12" {
			t.Errorf("%v, %v", b, err)
		}
		// It is as good when the node starts again.
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = testOpen(t, path)
	}
}

// A node that ended between the two steps takes the second when it starts again.
func TestFileIsRewrittenAfterAll(t *testing.T) {
	t.Parallel()
	path := testPath(t)
	clearFile(t, path)
	d := testOpenUnsealed(t, path)
	s := Sealer(testSealer{})
	d.sealer.Store(&s)
	if err := d.write(t.Context(), flushed, func(tx *transaction) error {
		return errors.Join(sealColumn(t.Context(), tx, s, tableJobs, "external_id", "spec"),
			sealColumn(t.Context(), tx, s, tableBridges, "name", "url"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stored(t, path), "s3cr3t") {
		t.Fatal("nothing is left of what was replaced")
	}
	testOpen(t, path)
	if strings.Contains(stored(t, path), "s3cr3t") {
		t.Error("the file has the secret still")
	}
}
