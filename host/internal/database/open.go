package database

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	driverName = "sqlite" // as modernc.org/sqlite registers itself
	// busyTimeout is how long, in milliseconds, a statement waits for another
	// process, such as a backup, that holds SQLite's own lock. The driver ends
	// the wait early when the statement's context ends.
	busyTimeout = 5000
	// readConnections bounds the readers. Reads are point queries of well under a
	// millisecond; each connection costs a page cache of 2 MB at most.
	readConnections = 4
)

// Open opens the database, creates it if it is missing, and migrates its tables. It fails if another process has the
// file open, or if a newer version of loop wrote the file.
func Open(ctx context.Context, settings Settings) (*Database, error) {
	logger := settings.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if settings.Path == "" {
		return nil, errors.New("open database: no path is set: name a file for it")
	}
	path, err := preparePath(settings.Path, logger)
	if err != nil {
		return nil, fmt.Errorf("open database %q: %w", settings.Path, err)
	}
	d, err := open(ctx, path, logger)
	if err != nil {
		return nil, fmt.Errorf("open database %q: %w", path, err)
	}
	return d, nil
}

func open(ctx context.Context, path string, logger *slog.Logger) (_ *Database, err error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	d := &Database{lock: lock, path: path, queue: newQueue()}
	var pools []io.Closer
	defer func() {
		if err != nil {
			for _, pool := range pools {
				err = errors.Join(err, pool.Close())
			}
			err = errors.Join(err, unlockFile(lock))
		}
	}()

	if err := prepareFile(path); err != nil {
		return nil, err
	}
	if d.writer, err = sql.Open(driverName, dsn(path, "_txlock=immediate", "_pragma=journal_mode(WAL)")); err != nil {
		return nil, err
	}
	pools = append(pools, d.writer)
	d.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, d.writer, logger); err != nil {
		return nil, err
	}
	if d.reader, err = sql.Open(driverName, dsn(path, "_pragma=query_only(1)")); err != nil {
		return nil, err
	}
	pools = append(pools, d.reader)
	d.reader.SetMaxOpenConns(readConnections)
	d.reader.SetMaxIdleConns(readConnections)
	if err := d.reader.PingContext(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// preparePath makes the folder and returns the file's path without symbolic links. The lock depends on it: all who open
// the file must have the same path.
func preparePath(path string, logger *slog.Logger) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make its folder: %w", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path, folder = real, filepath.Dir(real)
	} else if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return "", fmt.Errorf("find its folder: %w", err)
	} else {
		path = filepath.Join(folder, filepath.Base(path))
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", err
	}
	// This is only a warning: the operator often cannot choose the modes of a mounted volume, and the files are 0600 in
	// any folder.
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		logger.Warn("the database's folder is open to other users; chmod 700 closes it", "folder", folder, "mode",
			mode.String())
	}
	return path, nil
}

// prepareFile creates the file before SQLite does, which would follow the umask.
// SQLite gives the files beside it the mode of this one.
func prepareFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

// lockFile takes the lock that keeps a second node away. The kernel releases it when the process ends in any way. The
// lock is on a separate file, because closing any descriptor of the database file would drop SQLite's locks on it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another node%s is using it: stop that node or choose another file", holder(file))
	} else if err == nil {
		err = errors.Join(file.Truncate(0), writePID(file))
	} else {
		err = fmt.Errorf("lock it: %w", err)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// unlockFile releases the lock and closes its file. Closing alone would not be enough: a process that is being started
// has a copy of every descriptor for a moment, and the lock lasts as long as any copy.
func unlockFile(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}

func writePID(file *os.File) error {
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder names the process that wrote its number into the lock file. It is only a hint for people: the lock itself
// counts.
func holder(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// dsn builds the driver's data source name. Each option is a query term.
func dsn(path string, options ...string) string {
	options = append(options,
		fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout),
		"_pragma=foreign_keys(1)",
		"_dqs=0",
	)
	name := url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(options, "&")}
	return name.String()
}

func migrate(ctx context.Context, db *sql.DB, logger *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(logger))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	found, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read its version: %w", err)
	}
	if found > known {
		return fmt.Errorf("a newer version of loop wrote it (tables of version %d, this program knows %d): upgrade loop or "+
			"restore a backup", found, known)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring its tables from version %d to %d: %w", found, known, err)
	}
	if found < known {
		logger.Info("the database was migrated", "from", found, "to", known)
	}
	return nil
}
