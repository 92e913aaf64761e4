package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// note counts an error that is the database's own: of its file, its disk or its content.
func (d *Database) note(err error) {
	cause := (*sqlite.Error)(nil)
	if !errors.As(err, &cause) {
		return // the row is not there, or the caller went
	}
	switch cause.Code() & 0xff { // the primary code: the rest says which kind of it
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT: // what was to be written is wrong, or the caller went
	default:
		d.faults.Add(1)
	}
}

// Faults is how often reading or writing has failed by the fault of the database's file or disk.
func (d *Database) Faults() uint64 { return d.faults.Load() }

// Size is how many bytes the database takes on disk, with the log of what is not in its file yet.
func (d *Database) Size() (int64, error) {
	var size int64
	for _, path := range []string{d.path, d.path + "-wal"} {
		info, err := os.Stat(path)
		switch {
		case err == nil:
			size += info.Size()
		case !errors.Is(err, fs.ErrNotExist): // there is no log at times
			return 0, fmt.Errorf("size of the database: %w", err)
		}
	}
	return size, nil
}
