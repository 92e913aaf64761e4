package database

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

const (
	// MaxEntries is the largest number of entries in one scope: some sixty for each of a thousand feeds of an account.
	MaxEntries = 1 << 16
	// MaxStored is how many bytes the keys and values of one scope may have, so that no plugin fills a disk.
	MaxStored = 64 << 20
)

// ErrFull means that a scope has no room for an entry.
var ErrFull = errors.New("the store is full")

// usage is the number and the size of a scope's entries.
type usage struct{ entries, bytes int64 }

// check says whether a scope may grow to this.
func (u usage) check() error {
	switch {
	case u.entries > MaxEntries:
		return fmt.Errorf("%w: it would have %d entries, and %d are the most; delete some", ErrFull, u.entries, MaxEntries)
	case u.bytes > MaxStored:
		return fmt.Errorf("%w: its keys and values would have %d bytes, and %d are the most; delete some", ErrFull, u.bytes,
			MaxStored)
	}
	return nil
}

// usages are those of the scopes that were written to. They are kept because counting a scope would take longer than a
// write to it.
type usages struct {
	mu sync.Mutex
	of map[Scope]usage
}

// read is a scope's usage, counted once. It is called with the one connection that writes, so that nothing changes
// meanwhile.
func (u *usages) read(ctx context.Context, tx *transaction, scope Scope) (usage, error) {
	u.mu.Lock()
	known, ok := u.of[scope]
	u.mu.Unlock()
	if ok {
		return known, nil
	}
	err := tx.QueryRowContext(ctx,
		`SELECT COUNT(*), COALESCE(SUM(LENGTH(entry_key) + LENGTH(content)), 0) FROM store_entries
		WHERE plugin_kind = $1 AND chain = $2 AND account = $3`,
		scope.PluginKind, scope.Chain, scope.Account).Scan(&known.entries, &known.bytes)
	return known, err
}

// note keeps a scope's usage after a write, before the next write can ask for it.
func (u *usages) note(scope Scope, left usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[Scope]usage{}
	}
	u.of[scope] = left
}

// forget has a scope counted anew, since the noted write may not have been made.
func (u *usages) forget(scope Scope) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.of, scope)
}
