package database

import (
	"context"
	"fmt"
	"time"
)

// JobRun is a run of one of a job's pipelines.
type JobRun struct {
	JobID int64
	// ID grows within a job.
	ID        int64
	StartedAt time.Time
	// Content has the caller's own form.
	Content []byte
}

// JobError is an error of a job, counted by its kind.
type JobError struct {
	JobID           int64
	Kind, Message   string
	Occurrences     uint64
	FirstAt, LastAt time.Time
}

// History is history of several jobs that is written at once.
type History struct {
	Runs []JobRun
	// Errors replace those of their kinds.
	Errors []JobError
	// MostRuns and MostErrors are how many of the newest are kept for each job in this write.
	MostRuns, MostErrors int
}

// PutHistory writes the history of jobs, in one transaction. It leaves out jobs that were removed. The write is
// buffered: after a loss of power the last moments are missing.
func (d *Database) PutHistory(ctx context.Context, h History) error {
	err := d.write(ctx, buffered, func(tx *transaction) error {
		there, err := h.jobs(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range h.Runs {
			if !there[r.JobID] {
				continue
			}
			if _, err := tx.ExecContext(ctx,
				"INSERT INTO job_runs (job_id, run_id, started_at, content) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				r.JobID, r.ID, nanosOf(r.StartedAt), bytesOf(r.Content)); err != nil {
				return err
			}
		}
		for _, e := range h.Errors {
			if !there[e.JobID] {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO job_errors (job_id, kind, message, occurrences, first_at, last_at)
				VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (job_id, kind) DO UPDATE SET message = excluded.message,
				occurrences = excluded.occurrences, first_at = excluded.first_at, last_at = excluded.last_at`,
				e.JobID, e.Kind, e.Message, int64(e.Occurrences), nanosOf(e.FirstAt), nanosOf(e.LastAt)); err != nil {
				return err
			}
		}
		for job := range there {
			if _, err := tx.ExecContext(ctx, `DELETE FROM job_runs WHERE job_id = $1 AND run_id <= (
				SELECT run_id FROM job_runs WHERE job_id = $1 ORDER BY run_id DESC LIMIT 1 OFFSET $2)`,
				job, h.MostRuns); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM job_errors WHERE job_id = $1 AND last_at <= (
				SELECT last_at FROM job_errors WHERE job_id = $1 ORDER BY last_at DESC LIMIT 1 OFFSET $2)`, job,
				h.MostErrors); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store %d runs and %d errors of jobs: %w", len(h.Runs), len(h.Errors), err)
	}
	return nil
}

// jobs are those of the written entries that still exist.
func (h History) jobs(ctx context.Context, tx *transaction) (map[int64]bool, error) {
	named := map[int64]bool{}
	for _, r := range h.Runs {
		named[r.JobID] = true
	}
	for _, e := range h.Errors {
		named[e.JobID] = true
	}
	for id := range named {
		var found int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM jobs WHERE id = $1", id).Scan(&found); err != nil {
			return nil, err
		}
		if found == 0 {
			delete(named, id)
		}
	}
	return named, nil
}

// ForgetHistory removes runs that started before a time, and errors that last came before it.
func (d *Database) ForgetHistory(ctx context.Context, before time.Time) error {
	err := d.write(ctx, buffered, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM job_runs WHERE started_at < $1", nanosOf(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM job_errors WHERE last_at < $1", nanosOf(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("forget runs and errors of jobs: %w", err)
	}
	return nil
}

// JobRuns returns at most limit runs of a job with ids below before, newest first.
func (d *Database) JobRuns(ctx context.Context, jobID, before int64, limit int) ([]JobRun, error) {
	runs, err := all(ctx, d, func(row scanner) (r JobRun, err error) {
		var started int64
		err = row.Scan(&r.JobID, &r.ID, &started, &r.Content)
		r.StartedAt = timeOf(started)
		return r, err
	}, `SELECT job_id, run_id, started_at, content FROM job_runs WHERE job_id = $1 AND run_id < $2
		ORDER BY run_id DESC LIMIT $3`, jobID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list runs of job %d: %w", jobID, err)
	}
	return runs, nil
}

// JobErrors returns the errors of a job, the latest at the end.
func (d *Database) JobErrors(ctx context.Context, jobID int64) ([]JobError, error) {
	errors, err := all(ctx, d, func(row scanner) (e JobError, err error) {
		var occurrences, first, last int64
		err = row.Scan(&e.JobID, &e.Kind, &e.Message, &occurrences, &first, &last)
		e.Occurrences, e.FirstAt, e.LastAt = uint64(occurrences), timeOf(first), timeOf(last)
		return e, err
	}, `SELECT job_id, kind, message, occurrences, first_at, last_at FROM job_errors WHERE job_id = $1
		ORDER BY last_at, kind`, jobID)
	if err != nil {
		return nil, fmt.Errorf("list errors of job %d: %w", jobID, err)
	}
	return errors, nil
}
