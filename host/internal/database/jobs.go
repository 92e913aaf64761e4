package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Job is a job as the operator added it.
type Job struct {
	// ID is set by AddJob. It grows by one and is never reused, even after a removal, so that whatever still runs for a
	// removed job cannot write into the rows of a newer one.
	ID int64
	// ExternalID is the operator's name for the job; unique.
	ExternalID string
	// Name is free text and may be empty or shared.
	Name string
	// Spec is the job spec's TOML text, unchanged. It may contain secrets, so the database file has it sealed.
	Spec string
	// Validation is the answer of the job's relayer when it was last asked; empty before.
	Validation []byte
	// CreatedAt is set by AddJob.
	CreatedAt time.Time
}

const jobColumns = "id, external_id, name, spec, validation, created_at"

func (d *Database) scanJob(row scanner) (Job, error) {
	var job Job
	var created int64
	var sealed []byte
	err := row.Scan(&job.ID, &job.ExternalID, &job.Name, &sealed, &job.Validation, &created)
	job.Validation, job.CreatedAt = bytesOf(job.Validation), timeOf(created)
	if err == nil {
		if job.Spec, err = d.unseal(tableJobs, job.ExternalID, sealed); err != nil {
			err = fmt.Errorf("the spec of job %d: %w", job.ID, err)
		}
	}
	return job, err
}

// AddJob stores a job and returns it with its id and time of creation, which are ignored in the argument. It returns
// ErrExists if the external id is taken.
func (d *Database) AddJob(ctx context.Context, job Job) (Job, error) {
	if job.ExternalID == "" {
		return Job{}, fmt.Errorf("add job %q: the external id is empty: %w", job.Name, ErrInvalid)
	}
	job.CreatedAt, job.Validation = time.Now().UTC(), bytesOf(job.Validation)
	sealed, err := d.seal(tableJobs, job.ExternalID, job.Spec)
	if err != nil {
		return Job{}, fmt.Errorf("add job with external id %q: %w", job.ExternalID, err)
	}
	err = d.write(ctx, flushed, func(tx *transaction) error {
		next := tx.QueryRowContext(ctx, "UPDATE sequences SET last = last + 1 WHERE name = 'jobs' RETURNING last")
		if err := next.Scan(&job.ID); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx,
			"INSERT INTO jobs ("+jobColumns+", clear_spec) VALUES ($1, $2, $3, $4, $5, $6, '') ON CONFLICT DO NOTHING",
			job.ID, job.ExternalID, job.Name, sealed, bytesOf(job.Validation), nanosOf(job.CreatedAt))
		return existing(result, err)
	})
	if err != nil {
		return Job{}, fmt.Errorf("add job with external id %q: %w", job.ExternalID, err)
	}
	return job, nil
}

// Jobs returns all jobs in the order of their ids.
func (d *Database) Jobs(ctx context.Context) ([]Job, error) {
	jobs, err := all(ctx, d, d.scanJob, "SELECT "+jobColumns+" FROM jobs ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return jobs, nil
}

// Job returns one job, or ErrNotFound.
func (d *Database) Job(ctx context.Context, id int64) (Job, error) {
	job, err := one(ctx, d, d.scanJob, "SELECT "+jobColumns+" FROM jobs WHERE id = $1", id)
	if err != nil {
		return Job{}, fmt.Errorf("read job %d: %w", id, err)
	}
	return job, nil
}

// PutJobValidation stores the relayer's answer about a job. It returns ErrNotFound if there is no such job.
func (d *Database) PutJobValidation(ctx context.Context, id int64, validation []byte) error {
	rows, err := d.exec(ctx, buffered, "UPDATE jobs SET validation = $1 WHERE id = $2", bytesOf(validation), id)
	if err == nil && rows == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("store what the relayer says of job %d: %w", id, err)
	}
	return nil
}

// RemoveJob removes a job with every row that belongs to it: protocol state, pending transmissions, limits, accepted
// reports and cached values. It returns ErrNotFound if there is no such job.
func (d *Database) RemoveJob(ctx context.Context, id int64) error {
	rows, err := d.exec(ctx, flushed, "DELETE FROM jobs WHERE id = $1", id)
	if err == nil && rows == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove job %d: %w", id, err)
	}
	return nil
}

// existing turns an insert that touched no row into ErrExists.
func existing(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	rows, err := result.RowsAffected()
	if err == nil && rows == 0 {
		err = ErrExists
	}
	return err
}
