package database

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Signature is a signature that a relayer got or was refused.
type Signature struct {
	// ID grows with each.
	ID int64
	At time.Time
	// Plugin is the process that asked.
	Plugin, Relay, Chain string
	// Account is the key that signs.
	Account string
	// JobID is the job that it was for; 0 if that is not known.
	JobID int64
	// What was signed, and why it was refused: one of them is empty.
	What, Refused string
}

const signatureColumns = "id, signed_at, plugin, relay, chain, account, job, what, refused"

func scanSignature(row scanner) (s Signature, err error) {
	var at int64
	err = row.Scan(&s.ID, &at, &s.Plugin, &s.Relay, &s.Chain, &s.Account, &s.JobID, &s.What, &s.Refused)
	s.At = timeOf(at)
	return s, err
}

// PutSignatures stores signatures, in one transaction. The write is buffered: after a loss of power the last moments
// are missing.
func (d *Database) PutSignatures(ctx context.Context, all []Signature) error {
	err := d.write(ctx, buffered, func(tx *transaction) error {
		for _, s := range all {
			if _, err := tx.ExecContext(ctx,
				"INSERT INTO signatures ("+signatureColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
				s.ID, nanosOf(s.At), s.Plugin, s.Relay, s.Chain, s.Account, s.JobID, s.What, s.Refused); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store %d signatures: %w", len(all), err)
	}
	return nil
}

// Signed is what is kept together: the signatures or the refusals of an account of a relay.
type Signed struct {
	Relay, Account string
	Refused        bool
}

// trimSignatures looks through as many entries of an index as are kept.
const trimSignatures = `DELETE FROM signatures WHERE relay = $1 AND account = $2 AND (refused <> '') = $3
	AND id <= (SELECT id FROM signatures WHERE relay = $1 AND account = $2 AND (refused <> '') = $3
	ORDER BY id DESC LIMIT 1 OFFSET $4)`

// TrimSignatures removes all but the newest signatures of each.
func (d *Database) TrimSignatures(ctx context.Context, all []Signed, most int) error {
	err := d.write(ctx, buffered, func(tx *transaction) error {
		for _, of := range all {
			if _, err := tx.ExecContext(ctx, trimSignatures, of.Relay, of.Account, of.Refused, most); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget old signatures: %w", err)
	}
	return nil
}

// SignatureFilter selects signatures. The zero value selects all.
type SignatureFilter struct {
	// Account is a key; empty means any.
	Account string
	// Refused selects only refusals.
	Refused bool
	// Before is an upper bound of the ids, not included; 0 means none.
	Before int64
}

// Signatures returns at most limit signatures, newest first.
func (d *Database) Signatures(ctx context.Context, f SignatureFilter, limit int) ([]Signature, error) {
	if f.Before == 0 {
		f.Before = math.MaxInt64
	}
	found, err := all(ctx, d, scanSignature, "SELECT "+signatureColumns+` FROM signatures WHERE id < $1
		AND ($2 = '' OR account = $2) AND (NOT $3 OR refused <> '') ORDER BY id DESC LIMIT $4`,
		f.Before, f.Account, f.Refused, limit)
	if err != nil {
		return nil, fmt.Errorf("list signatures: %w", err)
	}
	return found, nil
}

// RemovedContract is the contract of a removed job, as the operator wrote the job.
type RemovedContract struct {
	JobID                 int64
	Relay, Chain          string
	Contract, Transmitter string
	RelayConfig           []byte
	GasLimit              uint32
	RemovedAt             time.Time
}

const removedColumns = "job, relay, chain, contract, transmitter, relay_config, gas_limit, removed_at"

// PutRemovedContract stores the contract of a removed job, and deletes those that were removed before a time.
func (d *Database) PutRemovedContract(ctx context.Context, c RemovedContract, before time.Time) error {
	err := d.write(ctx, flushed, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM removed_contracts WHERE removed_at < $1", nanosOf(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(
			ctx,
			"INSERT INTO removed_contracts ("+removedColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
			c.JobID,
			c.Relay,
			c.Chain,
			c.Contract,
			c.Transmitter,
			bytesOf(c.RelayConfig),
			int64(c.GasLimit),
			nanosOf(c.RemovedAt),
		)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the contract of job %d: %w", c.JobID, err)
	}
	return nil
}

// RemovedContracts returns the contracts of jobs that were removed since a time.
func (d *Database) RemovedContracts(ctx context.Context, since time.Time) ([]RemovedContract, error) {
	found, err := all(ctx, d, func(row scanner) (c RemovedContract, err error) {
		var gas, removed int64
		err = row.Scan(&c.JobID, &c.Relay, &c.Chain, &c.Contract, &c.Transmitter, &c.RelayConfig, &gas, &removed)
		c.GasLimit, c.RemovedAt = uint32(gas), timeOf(removed)
		return c, err
	}, "SELECT "+removedColumns+" FROM removed_contracts WHERE removed_at >= $1 ORDER BY job", nanosOf(since))
	if err != nil {
		return nil, fmt.Errorf("list contracts of jobs that were removed: %w", err)
	}
	return found, nil
}
