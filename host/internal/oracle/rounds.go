package oracle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartcontractkit/libocr/commontypes"

	"github.com/loop-plugins/loop/host/internal/oracle/feed"
	"github.com/loop-plugins/loop/host/internal/oracle/ocr3"
)

var _ ocr3.Rounds = (*rounds)(nil)

// rounds counts how a job's oracle fares in rounds of OCR3. It does not repeat libocr's own counts (ocr3_…), which do
// not say what an oracle has missed.
type rounds struct {
	feed   *feed.Recorder
	logger *logger
	ended  func() bool // whether the job ends: what it does not finish then is nothing lost

	outcomes, reports, epochs prometheus.Counter
	lost                      *prometheus.CounterVec

	mu    sync.Mutex
	epoch uint64 // the latest; 0 before the first
}

func newRounds(metrics *Metrics, jobID int64, feed *feed.Recorder, logger *logger, ended func() bool) *rounds {
	job := strconv.FormatInt(jobID, 10)
	return &rounds{
		feed: feed, logger: logger, ended: ended,
		outcomes: metrics.outcomes.WithLabelValues(job), reports: metrics.reports.WithLabelValues(job),
		epochs: metrics.epochs.WithLabelValues(job),
		lost:   metrics.lost.MustCurryWith(prometheus.Labels{labelJobID: job}),
	}
}

// Asked implements ocr3.Rounds. If the leader of an epoch makes no round, an oracle hears of none; it learns so from
// the next epoch.
func (r *rounds) Asked(epoch uint64) {
	r.feed.Asked()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.epoch == 0 || epoch < r.epoch: // the first, or the first of another configuration
		r.epochs.Inc()
	default:
		r.epochs.Add(float64(epoch - r.epoch))
	}
	r.epoch = epoch
}

// Observed implements ocr3.Rounds.
func (r *rounds) Observed(err error) { r.feed.Observed(said(err)) }

// Voted implements ocr3.Rounds.
func (r *rounds) Voted() {
	r.outcomes.Inc()
	r.feed.Voted(nil)
}

// Reported implements ocr3.Rounds. To contracts and relayers the number of an outcome is an epoch of one round, 0.
func (r *rounds) Reported(seqNr uint64, reports int) {
	r.reports.Add(float64(reports))
	r.feed.Made(nil) // that none is due is an answer
	if reports > 0 {
		r.feed.Reports(uint32(seqNr), 0)
	}
}

// Lost implements ocr3.Rounds. libocr logs the reason, unless it has given the call up itself.
func (r *rounds) Lost(ctx context.Context, call string, err error) {
	if r.ended() {
		return
	}
	r.lost.WithLabelValues(call).Inc()
	err = said(err)
	if errors.Is(ctx.Err(), context.Canceled) {
		late := call + " did not end before its epoch"
		r.logger.Error(late, commontypes.LogFields{"error": err})
		err = fmt.Errorf("%s: %w", late, err)
	}
	switch call { // other calls cost a round here and there, or are noted where they are made
	case "Outcome":
		r.feed.Voted(err)
	case "Reports":
		r.feed.Made(err)
	}
}
