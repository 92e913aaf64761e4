// Package database stores what a node must find again after a restart: jobs, sealed keys, bridges, libocr's protocol
// state, the answers of reporting plugins, and the entries in the stores of plugins. It gives rows a typed form and
// says how durable each is. It must not know what a job spec means, how a key is sealed, or that plugins are processes.
//
// One SQLite file serves one node. Every write goes through a single connection, so writers queue in Go, where they
// honour their contexts, instead of inside SQLite. Writes that wait together are written, and flushed, together.
// Readers have connections of their own and never wait for a writer.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/loop-plugins/loop/host/internal/health"
)

var (
	// ErrNotFound means that the requested row does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists means that a row of this name exists already.
	ErrExists = errors.New("exists already")
	// ErrInvalid means that an argument is outside its stated bounds.
	ErrInvalid = errors.New("invalid argument")
)

// Settings configure Open.
type Settings struct {
	// Path is the database file. If it is missing, it is created with mode 0600, and its folder with mode 0700. While
	// it is open SQLite keeps two more files beside it (-wal, -shm). A lock file (.lock) stays there.
	Path string
	// Logger receives log lines about opening. Nil discards them.
	Logger *slog.Logger
}

// Database is one open database file. Its methods may be used concurrently.
type Database struct {
	writer *sql.DB // one connection: see write
	reader *sql.DB
	lock   *os.File
	path   string
	faults atomic.Uint64
	sealer atomic.Pointer[Sealer]
	usages usages

	conditions sync.Mutex
	writes     health.Attempts // that failed by the fault of the database, or went well; guarded by conditions
	reads      health.Attempts // likewise

	parsed statements // of the reader
	queue  *queue

	closing  sync.Once
	closeErr error
}

// durability is the value of SQLite's synchronous pragma for one write. In WAL
// mode neither level can leave the file inconsistent, and both survive the end
// of the process however it comes.
type durability string

const (
	// flushed writes survive a loss of power once the call has returned. The
	// price is one fsync of the log.
	flushed durability = "FULL"
	// buffered writes are lost when the power fails before a flushed write or a checkpoint follows them. They are for data
	// that the protocol makes anew or repeats without harm, and are made many times a second.
	buffered durability = "NORMAL"
)

// Close waits for calls in progress, writes the log back into the file and
// releases the lock. Further calls fail. A second Close does nothing.
func (d *Database) Close() error {
	d.closing.Do(func() {
		// The pool of the writer is closed after that of the readers: the last connection to a file in WAL mode moves the log
		// into it, and a reader is not allowed to.
		err := errors.Join(d.reader.Close(), d.writer.Close(), unlockFile(d.lock))
		if err != nil {
			d.closeErr = fmt.Errorf("close database: %w", err)
		}
	})
	return d.closeErr
}

// missingJob names the one cause that a broken reference can have here.
func missingJob(err error) error {
	if cause := (*sqlite.Error)(nil); errors.As(err, &cause) && cause.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY {
		return fmt.Errorf("the job does not exist: %w", ErrNotFound)
	}
	return err
}

// exec is write for one statement. It returns the number of rows touched.
func (d *Database) exec(ctx context.Context, level durability, query string, args ...any) (int64, error) {
	var rows int64
	err := d.write(ctx, level, func(tx *transaction) error {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		rows, err = result.RowsAffected()
		return err
	})
	return rows, err
}

// scanner is what sql.Row and sql.Rows have in common.
type scanner interface {
	Scan(dest ...any) error
}

// one reads a single row, and ErrNotFound when there is none.
func one[T any](ctx context.Context, d *Database, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	row, err := oneRow(ctx, d, scan, query, args)
	d.note(&d.reads, err)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return row, err
}

func oneRow[T any](ctx context.Context, d *Database, scan func(scanner) (T, error), query string,
	args []any) (row T, err error) {
	statement, err := d.parsed.prepared(ctx, d.reader, query)
	if err != nil {
		return row, err
	}
	return scan(statement.QueryRowContext(ctx, args...))
}

// all reads every row of a query.
func all[T any](ctx context.Context, d *Database, scan func(scanner) (T, error), query string,
	args ...any) ([]T, error) {
	return while(ctx, d, scan, func(T) bool { return true }, query, args...)
}

// while is all, up to the first row that is not wanted.
func while[T any](ctx context.Context, d *Database, scan func(scanner) (T, error), wanted func(T) bool, query string,
	args ...any) (_ []T, err error) {
	defer func() { d.note(&d.reads, err) }()
	statement, err := d.parsed.prepared(ctx, d.reader, query)
	if err != nil {
		return nil, err
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err below has the error that matters
	var list []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		if !wanted(row) {
			break
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// bytesOf makes an empty value of a nil one: a nil slice would be stored as NULL,
// and the SQLite driver reads an empty value as nil.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// nanosOf returns the column form of an instant. An instant outside the years 1678 to 2262 becomes the nearest one that
// fits, so that comparisons still hold.
func nanosOf(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

func timeOf(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
