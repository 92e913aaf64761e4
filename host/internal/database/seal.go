package database

import (
	"context"
	"errors"
	"fmt"
)

// Sealer encrypts the secrets in rows. *keystore.Keystore implements it.
type Sealer interface {
	// Seal encrypts a text for one row, given by its table and name, and for no other.
	Seal(table, name string, text []byte) []byte
	// Unseal decrypts what Seal returned for the same row. Its error contains no part of a text.
	Unseal(table, name string, sealed []byte) ([]byte, error)
}

// errNoSealer means that a row with a secret was read or written too early.
var errNoSealer = errors.New("the database is not given its keystore yet, and this row is sealed under it")

const (
	tableJobs    = "jobs"
	tableBridges = "bridges"
	// remains is the name of a sequence that is 1 as long as the file may hold text from before rows were sealed.
	remains = "clear"
)

// SealWith sets the Sealer for job specs and bridge URLs, which contain secrets. Without it no such row is written or
// read. It seals what an earlier version of loop left unsealed, and rewrites the file, so that no byte of it stays in a
// free page.
func (d *Database) SealWith(ctx context.Context, s Sealer) error {
	d.sealer.Store(&s)
	var left int64
	err := d.write(ctx, flushed, func(tx *transaction) error {
		if err := tx.QueryRowContext(ctx, "SELECT last FROM sequences WHERE name = $1", remains).Scan(&left); err != nil ||
			left == 0 {
			return err
		}
		if err := sealColumn(ctx, tx, s, tableJobs, "external_id", "spec"); err != nil {
			return err
		}
		return sealColumn(ctx, tx, s, tableBridges, "name", "url")
	})
	if err == nil && left > 0 {
		if err = d.rewrite(ctx); err == nil {
			_, err = d.exec(ctx, flushed, "UPDATE sequences SET last = 0 WHERE name = $1", remains)
		}
	}
	if err != nil {
		return fmt.Errorf("seal the secrets in the database: %w", err)
	}
	return nil
}

// sealColumn seals what a column had in clear.
func sealColumn(ctx context.Context, tx *transaction, s Sealer, table, key, column string) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+key+", clear_"+column+" FROM "+table+" WHERE clear_"+column+" <> ''")
	if err != nil {
		return err
	}
	defer rows.Close() // rows.Err below has the error that matters
	found := map[string]string{}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return err
		}
		found[name] = text
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for name, text := range found {
		_, err := tx.ExecContext(ctx, "UPDATE "+table+" SET clear_"+column+" = '', "+column+" = $1 WHERE "+key+" = $2",
			s.Seal(table, name, []byte(text)), name)
		if err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes the file anew, without what was deleted or replaced, and empties the log beside it.
func (d *Database) rewrite(ctx context.Context) (err error) {
	defer func() { d.note(&d.writes, err) }()
	if _, err = d.writer.ExecContext(ctx, "VACUUM"); err != nil {
		return err
	}
	var busy, frames, moved int
	err = d.writer.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	if err == nil && busy != 0 {
		err = errors.New("another program reads the database: end it, and start the node again")
	}
	return err
}

// seal encrypts a text for its row. An empty one is not a secret.
func (d *Database) seal(table, name, text string) ([]byte, error) {
	if text == "" {
		return []byte{}, nil
	}
	s := d.sealer.Load()
	if s == nil {
		return nil, errNoSealer
	}
	return (*s).Seal(table, name, []byte(text)), nil
}

func (d *Database) unseal(table, name string, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	s := d.sealer.Load()
	if s == nil {
		return "", errNoSealer
	}
	text, err := (*s).Unseal(table, name, sealed)
	return string(text), err
}
