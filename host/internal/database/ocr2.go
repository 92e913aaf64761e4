package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	nettypes "github.com/smartcontractkit/libocr/networking/types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
)

var (
	_ types.Database              = (*OCR2)(nil)
	_ nettypes.DiscovererDatabase = (*Announcements)(nil)
)

// OCR2 is libocr's database for the oracle of one job. After the job is removed
// reads find nothing and writes fail.
//
// Config and state are flushed: an oracle that came back with an older epoch than
// it had sent could contradict itself, and both change with the epoch, not with
// the round. Pending transmissions change twice a round and are buffered: after a
// loss of power a forgotten report is sent by another oracle, and one that was
// sent already is refused by the transmitter's own record.
type OCR2 struct {
	d     *Database
	jobID int64
}

// OCR2 returns the database of one job's oracle. It does not check whether the job exists.
func (d *Database) OCR2(jobID int64) *OCR2 { return &OCR2{d: d, jobID: jobID} }

// storedConfig is the column form of a types.ContractConfig. It is JSON because BIGINT cannot hold the upper half of
// the two uint64. The transmitters are bytes because JSON text would change one that is not UTF-8, and the digest
// covers them.
type storedConfig struct {
	ConfigDigest          types.ConfigDigest       `json:"configDigest"`
	ConfigCount           uint64                   `json:"configCount"`
	Signers               []types.OnchainPublicKey `json:"signers"`
	Transmitters          [][]byte                 `json:"transmitters"`
	F                     uint8                    `json:"f"`
	OnchainConfig         []byte                   `json:"onchainConfig"`
	OffchainConfigVersion uint64                   `json:"offchainConfigVersion"`
	OffchainConfig        []byte                   `json:"offchainConfig"`
}

// WriteConfig replaces the config that the oracle starts from. What was kept under configs before that one is deleted:
// libocr may come back to the one that is replaced, after a reorganisation of the chain, and to no earlier one.
func (o *OCR2) WriteConfig(ctx context.Context, config types.ContractConfig) error {
	stored := storedConfig{
		ConfigDigest:          config.ConfigDigest,
		ConfigCount:           config.ConfigCount,
		Signers:               config.Signers,
		F:                     config.F,
		OnchainConfig:         config.OnchainConfig,
		OffchainConfigVersion: config.OffchainConfigVersion,
		OffchainConfig:        config.OffchainConfig,
	}
	for _, transmitter := range config.Transmitters {
		stored.Transmitters = append(stored.Transmitters, []byte(transmitter))
	}
	text, err := json.Marshal(stored)
	if err == nil {
		err = o.d.write(ctx, flushed, func(tx *transaction) error {
			if err := o.deleteOld(ctx, tx, config.ConfigDigest); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx,
				`INSERT INTO ocr2_configs (job_id, config) VALUES ($1, $2)
				ON CONFLICT (job_id) DO UPDATE SET config = excluded.config`, o.jobID, text)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("write contract config %s of job %d: %w", config.ConfigDigest, o.jobID, err)
	}
	return nil
}

// deleteOld deletes what the job has under other configs than a new one and the one that this replaces. A config that
// is written once more, as at each start, replaces none.
func (o *OCR2) deleteOld(ctx context.Context, tx *transaction, digest types.ConfigDigest) error {
	replaced, err := scanConfig(tx.QueryRowContext(ctx, "SELECT config FROM ocr2_configs WHERE job_id = $1", o.jobID))
	if err != nil || replaced.ConfigDigest == digest {
		return nil // there is none, or one that nobody can read, which the new one mends
	}
	for _, table := range []string{"ocr2_states", "ocr3_states", "accepted_reports", "ocr3_accepted_reports",
		"reporting_limits"} {
		if _, err := tx.ExecContext(ctx,
			"DELETE FROM "+table+" WHERE job_id = $1 AND config_digest NOT IN ($2, $3)", o.jobID, digest[:],
			replaced.ConfigDigest[:]); err != nil {
			return fmt.Errorf("delete what is kept under earlier configs: %w", err)
		}
	}
	return nil
}

// ReadConfig returns the config written last, or nil if there is none.
func (o *OCR2) ReadConfig(ctx context.Context) (*types.ContractConfig, error) {
	configs, err := all(ctx, o.d, scanConfig, "SELECT config FROM ocr2_configs WHERE job_id = $1", o.jobID)
	if err != nil {
		return nil, fmt.Errorf("read contract config of job %d: %w", o.jobID, err)
	}
	return firstOrNil(configs), nil
}

func scanConfig(row scanner) (types.ContractConfig, error) {
	var text []byte
	if err := row.Scan(&text); err != nil {
		return types.ContractConfig{}, err
	}
	var stored storedConfig
	if err := json.Unmarshal(text, &stored); err != nil {
		return types.ContractConfig{}, fmt.Errorf("column config: %w", err)
	}
	config := types.ContractConfig{
		ConfigDigest:          stored.ConfigDigest,
		ConfigCount:           stored.ConfigCount,
		Signers:               stored.Signers,
		F:                     stored.F,
		OnchainConfig:         stored.OnchainConfig,
		OffchainConfigVersion: stored.OffchainConfigVersion,
		OffchainConfig:        stored.OffchainConfig,
	}
	for _, transmitter := range stored.Transmitters {
		config.Transmitters = append(config.Transmitters, types.Account(transmitter))
	}
	return config, nil
}

// WriteState replaces the pacemaker's state under one config.
func (o *OCR2) WriteState(ctx context.Context, digest types.ConfigDigest, state types.PersistentState) error {
	received, err := json.Marshal(state.HighestReceivedEpoch)
	if err == nil {
		_, err = o.d.exec(ctx, flushed,
			`INSERT INTO ocr2_states (job_id, config_digest, epoch, highest_sent_epoch, highest_received_epoch)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (job_id, config_digest) DO UPDATE SET epoch = excluded.epoch,
				highest_sent_epoch = excluded.highest_sent_epoch,
				highest_received_epoch = excluded.highest_received_epoch`,
			o.jobID, digest[:], state.Epoch, state.HighestSentEpoch, received)
	}
	if err != nil {
		return fmt.Errorf("write protocol state of job %d, config %s: %w", o.jobID, digest, err)
	}
	return nil
}

// ReadState returns the state written last under one config, or nil if there is none.
func (o *OCR2) ReadState(ctx context.Context, digest types.ConfigDigest) (*types.PersistentState, error) {
	states, err := all(ctx, o.d, scanState,
		`SELECT epoch, highest_sent_epoch, highest_received_epoch FROM ocr2_states
		WHERE job_id = $1 AND config_digest = $2`, o.jobID, digest[:])
	if err != nil {
		return nil, fmt.Errorf("read protocol state of job %d, config %s: %w", o.jobID, digest, err)
	}
	return firstOrNil(states), nil
}

func scanState(row scanner) (types.PersistentState, error) {
	var state types.PersistentState
	var received []byte
	if err := row.Scan(&state.Epoch, &state.HighestSentEpoch, &received); err != nil {
		return types.PersistentState{}, err
	}
	if err := json.Unmarshal(received, &state.HighestReceivedEpoch); err != nil {
		return types.PersistentState{}, fmt.Errorf("column highest_received_epoch: %w", err)
	}
	return state, nil
}

func firstOrNil[T any](rows []T) *T {
	if len(rows) == 0 {
		return nil
	}
	return &rows[0]
}

// storedSignature is the column form of a types.AttributedOnchainSignature.
type storedSignature struct {
	Signature []byte `json:"signature"`
	Signer    uint8  `json:"signer"`
}

// StorePendingTransmission stores a transmission, replacing one of the same
// timestamp.
func (o *OCR2) StorePendingTransmission(ctx context.Context, at types.ReportTimestamp,
	pending types.PendingTransmission) error {
	signatures := make([]storedSignature, 0, len(pending.AttributedSignatures))
	for _, signature := range pending.AttributedSignatures {
		signatures = append(signatures, storedSignature{signature.Signature, uint8(signature.Signer)})
	}
	text, err := json.Marshal(signatures)
	if err == nil {
		_, err = o.d.exec(ctx, buffered,
			`INSERT INTO ocr2_pending_transmissions
				(job_id, config_digest, epoch, round, due_at, extra_hash, report, signatures)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (job_id, config_digest, epoch, round) DO UPDATE SET due_at = excluded.due_at,
				extra_hash = excluded.extra_hash, report = excluded.report, signatures = excluded.signatures`,
			o.jobID, at.ConfigDigest[:], at.Epoch, at.Round,
			nanosOf(pending.Time), pending.ExtraHash[:], bytesOf(pending.Report), text)
	}
	if err != nil {
		return fmt.Errorf("store pending transmission %s of job %d: %w", place(at), o.jobID, err)
	}
	return nil
}

// PendingTransmissionsWithConfigDigest returns the pending transmissions under one config.
func (o *OCR2) PendingTransmissionsWithConfigDigest(ctx context.Context,
	digest types.ConfigDigest) (map[types.ReportTimestamp]types.PendingTransmission, error) {
	type row struct {
		at      types.ReportTimestamp
		pending types.PendingTransmission
	}
	rows, err := all(ctx, o.d, func(columns scanner) (row, error) {
		r := row{at: types.ReportTimestamp{ConfigDigest: digest}}
		var err error
		r.pending, err = scanPending(columns, &r.at)
		return r, err
	}, `SELECT epoch, round, due_at, extra_hash, report, signatures FROM ocr2_pending_transmissions
		WHERE job_id = $1 AND config_digest = $2`, o.jobID, digest[:])
	if err != nil {
		return nil, fmt.Errorf("read pending transmissions of job %d, config %s: %w", o.jobID, digest, err)
	}
	pending := make(map[types.ReportTimestamp]types.PendingTransmission, len(rows))
	for _, r := range rows {
		pending[r.at] = r.pending
	}
	return pending, nil
}

func scanPending(columns scanner, at *types.ReportTimestamp) (types.PendingTransmission, error) {
	var pending types.PendingTransmission
	var due int64
	var extraHash, report, text []byte
	if err := columns.Scan(&at.Epoch, &at.Round, &due, &extraHash, &report, &text); err != nil {
		return pending, err
	}
	if len(extraHash) != len(pending.ExtraHash) {
		return pending, fmt.Errorf("column extra_hash: has %d bytes instead of %d", len(extraHash), len(pending.ExtraHash))
	}
	var signatures []storedSignature
	if err := json.Unmarshal(text, &signatures); err != nil {
		return pending, fmt.Errorf("column signatures: %w", err)
	}
	pending.Time = timeOf(due)
	pending.ExtraHash = [32]byte(extraHash)
	pending.Report = bytesOf(report)
	for _, signature := range signatures {
		pending.AttributedSignatures = append(pending.AttributedSignatures, types.AttributedOnchainSignature{
			Signature: signature.Signature,
			Signer:    commontypes.OracleID(signature.Signer),
		})
	}
	return pending, nil
}

// DeletePendingTransmission deletes a transmission. It is no error if there is no such transmission.
func (o *OCR2) DeletePendingTransmission(ctx context.Context, at types.ReportTimestamp) error {
	_, err := o.d.exec(ctx, buffered,
		`DELETE FROM ocr2_pending_transmissions
		WHERE job_id = $1 AND config_digest = $2 AND epoch = $3 AND round = $4`,
		o.jobID, at.ConfigDigest[:], at.Epoch, at.Round)
	if err != nil {
		return fmt.Errorf("delete pending transmission %s of job %d: %w", place(at), o.jobID, err)
	}
	return nil
}

// DeletePendingTransmissionsOlderThan deletes transmissions that were due before a time, under any config.
func (o *OCR2) DeletePendingTransmissionsOlderThan(ctx context.Context, instant time.Time) error {
	_, err := o.d.exec(ctx, buffered,
		"DELETE FROM ocr2_pending_transmissions WHERE job_id = $1 AND due_at < $2", o.jobID, nanosOf(instant))
	if err != nil {
		return fmt.Errorf("delete pending transmissions of job %d due before %s: %w", o.jobID, instant.Format(time.RFC3339),
			err)
	}
	return nil
}

func place(at types.ReportTimestamp) string {
	return fmt.Sprintf("(config %s, epoch %d, round %d)", at.ConfigDigest, at.Epoch, at.Round)
}

// discoveryTimeout bounds the discoverer's calls: its contexts have no deadline, and it calls while it holds the lock
// of all peer discovery.
const discoveryTimeout = 5 * time.Second

// Announcements is libocr's record of where the peers of one own peer were last reached.
type Announcements struct {
	d       *Database
	ownPeer string
}

// Announcements returns the record of one own peer id.
func (d *Database) Announcements(ownPeer string) *Announcements {
	return &Announcements{d: d, ownPeer: ownPeer}
}

// StoreAnnouncement replaces the announcement of a peer.
func (a *Announcements) StoreAnnouncement(ctx context.Context, peerID string, announcement []byte) error {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	_, err := a.d.exec(ctx, buffered,
		`INSERT INTO announcements (own_peer_id, peer_id, announcement) VALUES ($1, $2, $3)
		ON CONFLICT (own_peer_id, peer_id) DO UPDATE SET announcement = excluded.announcement`,
		a.ownPeer, peerID, bytesOf(announcement))
	if err != nil {
		return fmt.Errorf("store announcement of peer %q: %w", peerID, err)
	}
	return nil
}

// ReadAnnouncements returns the latest announcements of the named peers. Unknown peers are absent.
func (a *Announcements) ReadAnnouncements(ctx context.Context, peerIDs []string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	type row struct {
		peer         string
		announcement []byte
	}
	rows, err := all(ctx, a.d, func(columns scanner) (r row, err error) {
		err = columns.Scan(&r.peer, &r.announcement)
		return r, err
	}, "SELECT peer_id, announcement FROM announcements WHERE own_peer_id = $1", a.ownPeer)
	if err != nil {
		return nil, fmt.Errorf("read announcements of %d peers: %w", len(peerIDs), err)
	}
	known := make(map[string][]byte, len(rows))
	for _, r := range rows {
		known[r.peer] = bytesOf(r.announcement)
	}
	found := make(map[string][]byte, len(peerIDs))
	for _, peer := range peerIDs {
		if announcement, ok := known[peer]; ok {
			found[peer] = announcement
		}
	}
	return found, nil
}
