package database

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/loop-plugins/loop/host/internal/health"
)

// note keeps the result of an attempt, unless its error says nothing about the database: about its file, its disk or
// its content.
func (d *Database) note(attempts *health.Attempts, err error) {
	cause := (*sqlite.Error)(nil)
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		err = nil
	case !errors.As(err, &cause):
		return // the caller went, or what was to be written is wrong
	default:
		switch cause.Code() & 0xff { // the primary code: the rest says which kind of it
		case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_INTERRUPT: // as above
			return
		}
		d.faults.Add(1)
	}
	d.conditions.Lock()
	defer d.conditions.Unlock()
	attempts.Note(time.Now(), err)
}

// Condition describes the database's health.
func (d *Database) Condition() health.Database {
	d.conditions.Lock()
	known := health.Database{Path: d.path, Writes: d.writes, Reads: d.reads}
	d.conditions.Unlock()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(d.path), &disk); err == nil {
		known.Free, known.Disk = disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
	}
	return known
}

// Faults is how often reading or writing has failed because of the database's file or disk.
func (d *Database) Faults() uint64 { return d.faults.Load() }

// Size returns how many bytes the database takes on disk, including the log of writes that are not in its file yet.
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
