package database

import (
	"context"
	"fmt"
	"time"
)

// Key is a row of the keystore. Only the keystore understands its content: nothing here can be used without the node's
// password.
type Key struct {
	// Kind and ID identify the key together.
	Kind, ID string
	// Relay is the relay that the key is for; empty if it is for none.
	Relay string
	// Public is a JSON description for people.
	Public []byte
	// Sealed is the encrypted secret.
	Sealed []byte
	// CreatedAt is set by AddKey.
	CreatedAt time.Time
}

const keyColumns = "kind, id, chain_kind, public, sealed, created_at"

func scanKey(row scanner) (Key, error) {
	var key Key
	var created int64
	err := row.Scan(&key.Kind, &key.ID, &key.Relay, &key.Public, &key.Sealed, &created)
	key.Public, key.Sealed, key.CreatedAt = bytesOf(key.Public), bytesOf(key.Sealed), timeOf(created)
	return key, err
}

// AddKeys stores all keys or none. It returns ErrExists if a key of the same kind and id exists.
func (d *Database) AddKeys(ctx context.Context, keys ...Key) error {
	created := time.Now()
	err := d.write(ctx, flushed, func(tx *transaction) error {
		for _, key := range keys {
			result, err := tx.ExecContext(ctx,
				"INSERT INTO node_keys ("+keyColumns+") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
				key.Kind, key.ID, key.Relay, bytesOf(key.Public), bytesOf(key.Sealed), nanosOf(created))
			if err := existing(result, err); err != nil {
				return fmt.Errorf("%s key %q: %w", key.Kind, key.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add keys: %w", err)
	}
	return nil
}

// Keys returns all keys, oldest first.
func (d *Database) Keys(ctx context.Context) ([]Key, error) {
	keys, err := all(ctx, d, scanKey, "SELECT "+keyColumns+" FROM node_keys ORDER BY created_at, kind, id")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}
