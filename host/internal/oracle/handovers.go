package oracle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// handoverEvery and handoverBurst limit the lines at info about reports that are handed over: on average one line in
	// handoverEvery, and up to handoverBurst in a row. A node with few feeds has a line for each report, and one with
	// hundreds stays below one line a second.
	handoverEvery = 2 * time.Second
	handoverBurst = 30
	// handoverPeriod is the time between two lines that count the others.
	handoverPeriod = 10 * time.Second
)

// Handovers decides which of the reports that a node's jobs hand to their relayers get a line in the log, and counts
// the others in a line now and then.
type Handovers struct {
	logger  *slog.Logger
	limiter *rate.Limiter

	mu      sync.Mutex
	timer   *time.Timer // nil while there is nothing to count
	since   time.Time   // when the first of those counted came
	reports int
	jobs    map[int64]struct{}
}

// NewHandovers returns the Handovers of a node, which logs to logger. Close ends it.
func NewHandovers(logger *slog.Logger) *Handovers {
	return &Handovers{
		logger: logger, limiter: rate.NewLimiter(rate.Every(handoverEvery), handoverBurst), jobs: map[int64]struct{}{},
	}
}

// level is that of the line of the report that a job hands over now.
func (h *Handovers) level(job int64) slog.Level {
	if h.limiter.Allow() {
		return slog.LevelInfo
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		h.since = time.Now()
		h.timer = time.AfterFunc(handoverPeriod, h.Close)
	}
	h.reports++
	h.jobs[job] = struct{}{}
	return slog.LevelDebug
}

// Close logs what has been counted so far.
func (h *Handovers) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	h.timer.Stop()
	h.logger.LogAttrs(context.Background(), slog.LevelInfo, "more reports were handed to the relayer",
		slog.Int("reports", h.reports), slog.Int("jobs", len(h.jobs)),
		slog.Duration("in", time.Since(h.since).Round(time.Second)))
	h.timer, h.reports = nil, 0
	clear(h.jobs)
}
