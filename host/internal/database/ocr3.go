package database

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

var _ ocr3types.Database = (*OCR3)(nil)

// acceptedRounds is the number of outcomes whose answers are kept per job and config. libocr repeats those of the last
// one, after a restart.
const acceptedRounds = 100

// OCR3 is libocr's database for the oracle of one job on OCR3, and keeps what its
// product answered for reports. After the job is removed reads find nothing and
// writes fail.
//
// All state is flushed: libocr writes the certificate of an outcome before it
// votes for the next one, twice a round, and an oracle that came back without it
// could contradict its vote. Answers are buffered: after a loss of power the
// product is asked again, and its instance is a new one.
type OCR3 struct{ ocr2 *OCR2 }

// OCR3 returns the database of one job's oracle. It does not check whether the job exists.
func (d *Database) OCR3(jobID int64) *OCR3 { return &OCR3{d.OCR2(jobID)} }

// WriteConfig replaces the config that the oracle starts from.
func (o *OCR3) WriteConfig(ctx context.Context, config types.ContractConfig) error {
	return o.ocr2.WriteConfig(ctx, config)
}

// ReadConfig returns the config written last, or nil if there is none.
func (o *OCR3) ReadConfig(ctx context.Context) (*types.ContractConfig, error) {
	return o.ocr2.ReadConfig(ctx)
}

// WriteProtocolState replaces the value of a key under one config. A nil value removes it.
func (o *OCR3) WriteProtocolState(ctx context.Context, digest types.ConfigDigest, key string, value []byte) error {
	d, jobID := o.ocr2.d, o.ocr2.jobID
	var err error
	if value == nil {
		_, err = d.exec(
			ctx,
			flushed,
			"DELETE FROM ocr3_states WHERE job_id = $1 AND config_digest = $2 AND state_key = $3",
			jobID,
			digest[:],
			key,
		)
	} else {
		_, err = d.exec(ctx, flushed,
			`INSERT INTO ocr3_states (job_id, config_digest, state_key, content) VALUES ($1, $2, $3, $4)
			ON CONFLICT (job_id, config_digest, state_key) DO UPDATE SET content = excluded.content`,
			jobID, digest[:], key, value)
	}
	if err != nil {
		return fmt.Errorf("write protocol state %q of job %d, config %s: %w", key, jobID, digest, err)
	}
	return nil
}

// ReadProtocolState returns the value written last for a key under one config, or nil if there is none.
func (o *OCR3) ReadProtocolState(ctx context.Context, digest types.ConfigDigest, key string) ([]byte, error) {
	d, jobID := o.ocr2.d, o.ocr2.jobID
	value, err := one(ctx, d, func(row scanner) (value []byte, err error) {
		err = row.Scan(&value)
		return bytesOf(value), err
	}, "SELECT content FROM ocr3_states WHERE job_id = $1 AND config_digest = $2 AND state_key = $3",
		jobID, digest[:], key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read protocol state %q of job %d, config %s: %w", key, jobID, digest, err)
	}
	return value, nil
}

const selectOCR3Accepted = `SELECT answer FROM ocr3_accepted_reports
	WHERE job_id = $1 AND config_digest = $2 AND seq_nr = $3 AND report = $4`

// Accepted returns the stored answer for a report, and whether there is one.
func (o *OCR3) Accepted(
	ctx context.Context,
	digest types.ConfigDigest,
	seqNr uint64,
	report [sha256.Size]byte,
) (answer, known bool, err error) {
	d, jobID := o.ocr2.d, o.ocr2.jobID
	answer, err = one(ctx, d, func(row scanner) (answer bool, err error) {
		err = row.Scan(&answer)
		return answer, err
	}, selectOCR3Accepted, jobID, digest[:], int64(min(seqNr, math.MaxInt64)), report[:])
	switch {
	case errors.Is(err, ErrNotFound):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf(
			"read answer for a report of seqNr %d of job %d, config %s: %w",
			seqNr,
			jobID,
			digest,
			err,
		)
	}
	return answer, true, nil
}

// PutAccepted stores a product's answer to ShouldAcceptAttestedReport unless there is one already, and returns the
// stored one. The latest hundred outcomes of each job and config keep their answers.
func (o *OCR3) PutAccepted(
	ctx context.Context,
	digest types.ConfigDigest,
	seqNr uint64,
	report [sha256.Size]byte,
	answer bool,
) (bool, error) {
	d, jobID := o.ocr2.d, o.ocr2.jobID
	err := fmt.Errorf("the number of the outcome is more than %d: %w", math.MaxInt64, ErrInvalid)
	if seqNr <= math.MaxInt64 {
		err = d.write(ctx, buffered, func(tx *transaction) error {
			result, err := tx.ExecContext(ctx,
				`INSERT INTO ocr3_accepted_reports (job_id, config_digest, seq_nr, report, answer)
				VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				jobID, digest[:], int64(seqNr), report[:], answer)
			err = existing(result, err)
			if errors.Is(err, ErrExists) {
				return tx.QueryRowContext(ctx, selectOCR3Accepted, jobID, digest[:], int64(seqNr), report[:]).
					Scan(&answer)
			}
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx,
				"DELETE FROM ocr3_accepted_reports WHERE job_id = $1 AND config_digest = $2 AND seq_nr <= $3",
				jobID, digest[:], int64(seqNr)-acceptedRounds)
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf(
			"keep answer for a report of seqNr %d of job %d, config %s: %w",
			seqNr,
			jobID,
			digest,
			err,
		)
	}
	return answer, nil
}
