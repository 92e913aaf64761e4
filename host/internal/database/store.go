package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const (
	// MaxKeyLength is the largest length of a key in bytes; the least is 1.
	MaxKeyLength = 512
	// MaxValueLength is the largest length of a value in bytes; 0 is allowed.
	MaxValueLength = 64 << 10
	// MaxPage is the largest number of entries that one List returns.
	MaxPage = 100
	// maxPageBytes is how many bytes of keys and values end a page: many callers may ask for a page at the same time.
	maxPageBytes = 1 << 20
)

// Scope is the owner of the entries in a store. Chain and account are empty for plugins that have none.
type Scope struct {
	PluginKind, Chain, Account string
}

func (s Scope) String() string {
	return fmt.Sprintf("%s/%s/%s", s.PluginKind, s.Chain, s.Account)
}

// Entry is one key of a store.
type Entry struct {
	// Key has 1 to MaxKeyLength bytes, of any values.
	Key string
	// Value has at most MaxValueLength bytes, and is never nil when read.
	Value []byte
	// Version is 1 for a new key and grows by 1 with each Put. If a key is deleted and put again, it begins at 1 again.
	Version uint64
}

// VersionError means that a Put or Delete expected another version than the store has. Nothing was written.
type VersionError struct {
	Key string
	// Expected is the caller's version, Current the store's; 0 means that the key does not exist.
	Expected, Current uint64
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("key %.64q has version %d, not the expected %d (0: no such key): read it again and decide anew",
		e.Key, e.Current, e.Expected)
}

// Store is the entries of one scope. A Put or Delete that has returned survives a loss of power.
type Store struct {
	d     *Database
	scope Scope
}

// Store returns the store of one scope.
func (d *Database) Store(scope Scope) *Store { return &Store{d: d, scope: scope} }

// Get returns an entry, or ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	err := checkKey(key)
	var entry Entry
	if err == nil {
		entry, err = one(ctx, s.d, scanEntry,
			`SELECT entry_key, content, version FROM store_entries
			WHERE plugin_kind = $1 AND chain = $2 AND account = $3 AND entry_key = $4`, s.at(key)...)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("get key %.64q of store %s: %w", key, s.scope, err)
	}
	return entry, nil
}

// Put writes an entry and returns its new version. The key must have the expected version, where 0 means that it must
// not exist; otherwise the error is a *VersionError. Put returns ErrInvalid if the key or the value is out of bounds,
// and ErrFull if the scope has no room.
func (s *Store) Put(ctx context.Context, key string, value []byte, expected uint64) (uint64, error) {
	err := checkKey(key)
	if err == nil && len(value) > MaxValueLength {
		err = fmt.Errorf("the value has %d bytes, more than %d: %w", len(value), MaxValueLength, ErrInvalid)
	}
	if err == nil {
		err = s.change(ctx, key, int64(len(value)), func(tx *transaction, current uint64) error {
			if current != expected {
				return &VersionError{Key: key, Expected: expected, Current: current}
			}
			_, err := tx.ExecContext(ctx,
				`INSERT INTO store_entries (plugin_kind, chain, account, entry_key, content, version)
				VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (plugin_kind, chain, account, entry_key) DO UPDATE SET
					content = excluded.content, version = excluded.version`,
				append(s.at(key), bytesOf(value), int64(expected+1))...)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("put key %.64q of store %s: %w", key, s.scope, err)
	}
	return expected + 1, nil
}

// Delete removes an entry if it has the expected version, where 0 means any; otherwise the error is a *VersionError. It
// is no error if the key does not exist, so Delete may be repeated.
func (s *Store) Delete(ctx context.Context, key string, expected uint64) error {
	err := checkKey(key)
	if err == nil {
		err = s.change(ctx, key, deleted, func(tx *transaction, current uint64) error {
			if current != 0 && expected != 0 && current != expected {
				return &VersionError{Key: key, Expected: expected, Current: current}
			}
			_, err := tx.ExecContext(ctx,
				`DELETE FROM store_entries
				WHERE plugin_kind = $1 AND chain = $2 AND account = $3 AND entry_key = $4`, s.at(key)...)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("delete key %.64q of store %s: %w", key, s.scope, err)
	}
	return nil
}

// deleted is the length of a value that is not there after a change.
const deleted = -1

// change gives write the key's version, 0 when it does not exist. length is that of its value afterwards. The
// transaction holds the only writing connection, so nothing comes between look and write.
func (s *Store) change(ctx context.Context, key string, length int64,
	write func(tx *transaction, current uint64) error) error {
	noted := false
	err := s.d.write(ctx, flushed, func(tx *transaction) error {
		var current, before int64
		err := tx.QueryRowContext(ctx,
			`SELECT version, LENGTH(content) FROM store_entries
			WHERE plugin_kind = $1 AND chain = $2 AND account = $3 AND entry_key = $4`, s.at(key)...).Scan(&current, &before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		left, err := s.d.usages.read(ctx, tx, s.scope)
		if err != nil {
			return err
		}
		if current != 0 {
			left.entries, left.bytes = left.entries-1, left.bytes-int64(len(key))-before
		}
		if length != deleted {
			left.entries, left.bytes = left.entries+1, left.bytes+int64(len(key))+length
		}
		if err := write(tx, uint64(current)); err != nil {
			return err
		}
		if grows := current == 0 && length != deleted || length > before; grows { // what does not grow always has room
			if err := left.check(); err != nil {
				return err
			}
		}
		s.d.usages.note(s.scope, left)
		noted = true
		return nil
	})
	if err != nil && noted {
		s.d.usages.forget(s.scope)
	}
	return err
}

// List returns entries whose keys begin with prefix and come after the key `after`, in the order of their bytes. An
// empty prefix means all, an empty after means from the beginning, and a limit of 0 or above MaxPage means MaxPage.
// more reports whether there is another page: ask for it with the last key as after. Each page is consistent in itself.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (entries []Entry, more bool, err error) {
	if limit < 1 || limit > MaxPage {
		limit = MaxPage
	}
	if len(prefix) > MaxKeyLength || len(after) > MaxKeyLength {
		err = fmt.Errorf("the prefix or the key to begin after has over %d bytes: %w", MaxKeyLength, ErrInvalid)
	} else {
		query := `SELECT entry_key, content, version FROM store_entries
			WHERE plugin_kind = $1 AND chain = $2 AND account = $3 AND entry_key >= $4 AND entry_key > $5`
		args := []any{s.scope.PluginKind, s.scope.Chain, s.scope.Account, []byte(prefix), []byte(after), limit + 1}
		if end := prefixEnd(prefix); end != nil {
			query += " AND entry_key < $7"
			args = append(args, end)
		}
		size := 0
		entries, err = while(ctx, s.d, scanEntry, func(e Entry) bool {
			more = size >= maxPageBytes
			size += len(e.Key) + len(e.Value)
			return !more
		}, query+" ORDER BY entry_key LIMIT $6", args...)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list keys of store %s: %w", s.scope, err)
	}
	if len(entries) > limit {
		return entries[:limit], true, nil
	}
	return entries, more, nil
}

// prefixEnd is the least key above every key that begins with prefix; nil if there is none, because the prefix is empty
// or all 0xff.
func prefixEnd(prefix string) []byte {
	end := bytes.TrimRight([]byte(prefix), "\xff")
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

func (s *Store) at(key string) []any {
	return []any{s.scope.PluginKind, s.scope.Chain, s.scope.Account, []byte(key)}
}

func checkKey(key string) error {
	if len(key) < 1 || len(key) > MaxKeyLength {
		return fmt.Errorf("the key has %d bytes, not 1 to %d: %w", len(key), MaxKeyLength, ErrInvalid)
	}
	return nil
}

func scanEntry(row scanner) (Entry, error) {
	var entry Entry
	var key []byte
	var version int64
	err := row.Scan(&key, &entry.Value, &version)
	entry.Key, entry.Value, entry.Version = string(key), bytesOf(entry.Value), uint64(version)
	return entry, err
}
