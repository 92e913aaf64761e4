package database

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

// acceptedKept is how many answers are kept per job and config: at ten rounds a
// second, well over a minute of repeats, which libocr sends within seconds.
const acceptedKept = 1000

// PutReportingInfo stores what a job's product declared under one config, to answer libocr when the product is slow or
// absent.
func (d *Database) PutReportingInfo(ctx context.Context, jobID int64, digest types.ConfigDigest,
	info types.ReportingPluginInfo) error {
	_, err := d.exec(ctx, flushed,
		`INSERT INTO reporting_limits (job_id, config_digest, name, unique_reports,
			max_query_length, max_observation_length, max_report_length)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (job_id, config_digest) DO UPDATE SET name = excluded.name,
			unique_reports = excluded.unique_reports, max_query_length = excluded.max_query_length,
			max_observation_length = excluded.max_observation_length, max_report_length = excluded.max_report_length`,
		jobID, digest[:], info.Name, info.UniqueReports,
		info.Limits.MaxQueryLength, info.Limits.MaxObservationLength, info.Limits.MaxReportLength)
	if err != nil {
		return fmt.Errorf("store reporting limits of job %d, config %s: %w", jobID, digest, err)
	}
	return nil
}

// ReportingInfo returns what the product declared last, or ErrNotFound.
func (d *Database) ReportingInfo(ctx context.Context, jobID int64,
	digest types.ConfigDigest) (types.ReportingPluginInfo, error) {
	info, err := one(ctx, d, func(row scanner) (info types.ReportingPluginInfo, err error) {
		err = row.Scan(&info.Name, &info.UniqueReports,
			&info.Limits.MaxQueryLength, &info.Limits.MaxObservationLength, &info.Limits.MaxReportLength)
		return info, err
	}, `SELECT name, unique_reports, max_query_length, max_observation_length, max_report_length
		FROM reporting_limits WHERE job_id = $1 AND config_digest = $2`, jobID, digest[:])
	if err != nil {
		return types.ReportingPluginInfo{}, fmt.Errorf("read reporting limits of job %d, config %s: %w", jobID, digest, err)
	}
	return info, nil
}

// PutAccepted stores a product's answer to ShouldAcceptFinalizedReport unless there is one already, and returns the
// stored one. It keeps the thousand latest answers of each job and config, and does not store an older one.
//
// The write is buffered: after a loss of power the product is asked again, and its instance is a new one.
func (d *Database) PutAccepted(ctx context.Context, jobID int64, at types.ReportTimestamp, answer bool) (bool, error) {
	err := d.write(ctx, buffered, func(tx *transaction) error {
		result, err := tx.ExecContext(ctx,
			`INSERT INTO accepted_reports (job_id, config_digest, epoch, round, answer)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			jobID, at.ConfigDigest[:], at.Epoch, at.Round, answer)
		err = existing(result, err)
		if errors.Is(err, ErrExists) {
			stored := tx.QueryRowContext(ctx, selectAccepted, jobID, at.ConfigDigest[:], at.Epoch, at.Round)
			return stored.Scan(&answer)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx,
			`DELETE FROM accepted_reports WHERE job_id = $1 AND config_digest = $2 AND (epoch, round) <= (
				SELECT epoch, round FROM accepted_reports WHERE job_id = $1 AND config_digest = $2
				ORDER BY epoch DESC, round DESC LIMIT 1 OFFSET $3)`,
			jobID, at.ConfigDigest[:], acceptedKept)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store answer for report %s of job %d: %w", place(at), jobID, err)
	}
	return answer, nil
}

const selectAccepted = `SELECT answer FROM accepted_reports
	WHERE job_id = $1 AND config_digest = $2 AND epoch = $3 AND round = $4`

// Accepted returns the stored answer for a report, or ErrNotFound.
func (d *Database) Accepted(ctx context.Context, jobID int64, at types.ReportTimestamp) (bool, error) {
	answer, err := one(ctx, d, func(row scanner) (answer bool, err error) {
		err = row.Scan(&answer)
		return answer, err
	}, selectAccepted, jobID, at.ConfigDigest[:], at.Epoch, at.Round)
	if err != nil {
		return false, fmt.Errorf("read answer for report %s of job %d: %w", place(at), jobID, err)
	}
	return answer, nil
}

// JuelsPerFeeCoin is a job's cached price of the fee coin.
type JuelsPerFeeCoin struct {
	// Amount is in juels (10^-18 LINK) for one whole coin; never nil.
	Amount *big.Int
	// Time is the time of the price.
	Time time.Time
}

// PutJuelsPerFeeCoin replaces a job's cached price.
func (d *Database) PutJuelsPerFeeCoin(ctx context.Context, jobID int64, price JuelsPerFeeCoin) error {
	err := fmt.Errorf("the amount is nil: %w", ErrInvalid)
	if price.Amount != nil {
		_, err = d.exec(ctx, buffered,
			`INSERT INTO juels_per_fee_coin (job_id, amount, taken_at) VALUES ($1, $2, $3)
			ON CONFLICT (job_id) DO UPDATE SET amount = excluded.amount, taken_at = excluded.taken_at`,
			jobID, price.Amount.String(), nanosOf(price.Time))
	}
	if err != nil {
		return fmt.Errorf("store juels per fee coin of job %d: %w", jobID, err)
	}
	return nil
}

// JuelsPerFeeCoin returns a job's cached price, or ErrNotFound.
func (d *Database) JuelsPerFeeCoin(ctx context.Context, jobID int64) (JuelsPerFeeCoin, error) {
	price, err := one(ctx, d, scanJuels, "SELECT amount, taken_at FROM juels_per_fee_coin WHERE job_id = $1", jobID)
	if err != nil {
		return JuelsPerFeeCoin{}, fmt.Errorf("read juels per fee coin of job %d: %w", jobID, err)
	}
	return price, nil
}

func scanJuels(row scanner) (JuelsPerFeeCoin, error) {
	var text string
	var taken int64
	if err := row.Scan(&text, &taken); err != nil {
		return JuelsPerFeeCoin{}, err
	}
	amount, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return JuelsPerFeeCoin{}, fmt.Errorf("column amount: %q is not a decimal number", text)
	}
	return JuelsPerFeeCoin{Amount: amount, Time: timeOf(taken)}, nil
}
