package signing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/door"
)

const (
	// writeInterval is the time between two writes of what was signed.
	writeInterval = time.Second
	// writeTimeout bounds one.
	writeTimeout = 10 * time.Second
	// mostPending is how many signatures wait for the database. Further ones have only a line in the log: the database is
	// full or does not answer.
	mostPending = 4096
	// mostKept is how many signed transactions of each account are kept, and how many refused ones: a relayer with many
	// refusals does not push out its signed ones.
	mostKept = 10_000
	// trimEvery is the number of signatures after which those beyond mostKept are forgotten: trimming looks through all
	// that are kept.
	trimEvery = 1000
	// mostRefusals is how many refusals of one account have lines in the log a minute, as of strangers at the door.
	mostRefusals = 1000
)

// Values of the metric's label outcome.
const (
	outcomeChecked   = "checked"
	outcomeUnchecked = "unchecked"
	outcomeRefused   = "refused"
	outcomeRate      = "rate"
)

// Record keeps the signatures and refusals of relayers in the database, in a metric and in the log. In the log a
// signature has a line at debug, since a node with many feeds makes several a second. While the database cannot be
// written, the lines are at info.
type Record struct {
	database *database.Database
	logger   *slog.Logger
	metric   *prometheus.CounterVec

	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	last     int64 // id
	pending  []database.Signature
	taken    int                      // by a write that is not done
	failing  bool                     // the last write failed, which was said
	refusals map[string]*door.Sparing // by account

	writing     sync.Mutex
	untrimmed   map[database.Signed]struct{} // written since the last trimming
	most, every int
}

// NewRecord continues the record in the database. Close ends it.
func NewRecord(
	ctx context.Context,
	d *database.Database,
	registerer prometheus.Registerer,
	logger *slog.Logger,
) (*Record, error) {
	newest, err := d.Signatures(ctx, database.SignatureFilter{}, 1)
	if err != nil {
		return nil, err
	}
	r := &Record{
		database: d, logger: logger, refusals: map[string]*door.Sparing{},
		untrimmed: map[database.Signed]struct{}{}, most: mostKept, every: trimEvery,
		metric: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_signatures_total",
			Help: "Transactions that relayers asked to have signed, by outcome: checked or unchecked, which were signed, " +
				"or refused by the check, or by the rate.",
		}, []string{"relay", "chain_id", "outcome"}),
	}
	if len(newest) > 0 {
		r.last = newest[0].ID
	}
	registerer.MustRegister(r.metric)
	ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Go(func() { r.write(ctx) })
	return r, nil
}

// Close writes what is not written yet.
func (r *Record) Close() {
	r.cancel()
	r.work.Wait()
	r.flush(context.Background())
}

// put notes a request. It waits for nothing.
func (r *Record) put(ctx context.Context, s database.Signature, outcome string) {
	r.metric.WithLabelValues(s.Relay, s.Chain, outcome).Inc()
	line, without := true, 0
	r.mu.Lock()
	if s.Refused != "" {
		key := s.Relay + "/" + s.Account
		if r.refusals[key] == nil {
			r.refusals[key] = door.NewSparing(mostRefusals)
		}
		line, without = r.refusals[key].Refuse()
	}
	kept := line && r.taken+len(r.pending) < mostPending
	if kept {
		r.last++
		s.ID = r.last
		r.pending = append(r.pending, s)
	}
	failing := r.failing
	r.mu.Unlock()
	if !line {
		return
	}
	level, said := slog.LevelDebug, "done: "+s.What
	switch {
	case s.Refused != "":
		level, said = slog.LevelWarn, "refused: "+s.Refused
	case !kept, failing:
		level = slog.LevelInfo
	}
	if without > 0 {
		said += fmt.Sprintf("; %d more in the minutes before have no line", without)
	}
	who := slog.Group("who", "plugin", s.Plugin, "relay", s.Relay, "chain", s.Chain, "job", s.JobID)
	door.Audit(ctx, r.logger, level, who, "Sign", "account "+s.Account, said)
}

func (r *Record) write(ctx context.Context) {
	tick := time.NewTicker(writeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flush(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// flush writes the signatures that are not written yet. If that fails, they are tried again.
func (r *Record) flush(ctx context.Context) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	all := r.pending
	r.pending, r.taken = nil, len(all)
	r.mu.Unlock()
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := r.database.PutSignatures(ctx, all)
	if err == nil {
		err = r.trim(ctx, all)
	}
	r.mu.Lock()
	r.taken = 0
	if err != nil {
		r.pending = append(all, r.pending...)
	}
	changed := r.failing != (err != nil)
	r.failing = err != nil
	r.mu.Unlock()
	switch {
	case changed && err != nil:
		r.logger.Error("signatures cannot be stored; only the log has them until they can", "error", err)
	case changed:
		r.logger.Info("signatures are stored again")
	}
}

// trim forgets what is too much once in so many ids, which go on over restarts.
func (r *Record) trim(ctx context.Context, written []database.Signature) error {
	for _, s := range written {
		r.untrimmed[database.Signed{Relay: s.Relay, Account: s.Account, Refused: s.Refused != ""}] = struct{}{}
	}
	every := int64(r.every)
	if (written[0].ID-1)/every == written[len(written)-1].ID/every {
		return nil
	}
	if err := r.database.TrimSignatures(ctx, slices.Collect(maps.Keys(r.untrimmed)), r.most); err != nil {
		return err
	}
	clear(r.untrimmed)
	return nil
}

// List returns at most limit signatures, newest first.
func (r *Record) List(ctx context.Context, f database.SignatureFilter, limit int) ([]database.Signature, error) {
	r.flush(ctx)
	return r.database.Signatures(ctx, f, limit)
}
