// Package history keeps what jobs did, for operators who ask why: the runs of their pipelines, their errors, and their
// rounds.
//
// The newest runs and rounds are in memory. Errors, and runs in which a task failed, also go to the database. One write
// holds several of them, and those of many jobs, so that a round costs no write and a fault of the night is still there
// in the morning. What is kept of a job is bounded whatever it does.
//
// It must not know how a job observes, what its rounds are for, or how anything is shown.
package history

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/hostservice"
)

const (
	// writeInterval is the time between two writes. Each write has the new entries of all jobs.
	writeInterval = time.Second
	// writeTimeout bounds one.
	writeTimeout = 10 * time.Second
	// mostPending is how many runs of all jobs wait for the database. Further ones are left out: the database is full or
	// does not answer.
	mostPending = 4096
)

// Settings configure New.
type Settings struct {
	// Database stores what must outlast the process; nil means that nothing must.
	Database *database.Database
	Limits   config.JobPipeline
	Logger   *slog.Logger
}

// History is the history of a node's jobs.
type History struct {
	settings Settings
	runs     board[func() *Run]
	rounds   board[*Happening]

	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	jobs    map[int64]*Job
	pending []database.JobRun

	writing sync.Mutex
	written time.Time // errors that came last before are in the database
	failing bool      // the last write failed, which was said
}

// New returns the history of a node. Close ends it.
func New(s Settings) *History {
	h := &History{settings: s, jobs: map[int64]*Job{}}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	if s.Database != nil {
		h.work.Go(func() { h.write(ctx) })
	}
	return h
}

// Close ends the listeners, and writes what is not written yet.
func (h *History) Close() {
	h.cancel()
	h.work.Wait()
	h.runs.close()
	h.rounds.close()
	h.flush(context.Background())
}

// Job returns the history of a job that begins, with what the database has about it.
func (h *History) Job(ctx context.Context, id int64) (*Job, error) {
	j := &Job{history: h, id: id, Errors: hostservice.NewErrorLog()}
	if d := h.settings.Database; d != nil {
		errors, err := d.JobErrors(ctx, id)
		if err != nil {
			return nil, err
		}
		before := make([]hostservice.JobError, len(errors))
		for at, e := range errors {
			before[at] = hostservice.JobError{Kind: e.Kind, Message: e.Message, Count: e.Occurrences, FirstAt: e.FirstAt,
				LastAt: e.LastAt}
		}
		j.Errors.Restore(before)
		last, err := d.JobRuns(ctx, id, math.MaxInt64, 1)
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			j.last = last[0].ID
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[id] = j
	return j, nil
}

// Forget removes the history of a removed job.
func (h *History) Forget(id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.jobs, id)
}

// Of returns the history of a job, if it has one.
func (h *History) Of(id int64) (*Job, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, ok := h.jobs[id]
	return j, ok
}

// put has a run written.
func (h *History) put(r database.JobRun) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.settings.Database != nil && len(h.pending) < mostPending {
		h.pending = append(h.pending, r)
	}
}

func (h *History) write(ctx context.Context) {
	tick, reap := time.NewTicker(writeInterval), time.NewTicker(h.settings.Limits.ReaperInterval.Duration)
	defer tick.Stop()
	defer reap.Stop()
	h.reap(ctx)
	for {
		select {
		case <-tick.C:
			h.flush(ctx)
		case <-reap.C:
			h.reap(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// flush writes what is not written.
func (h *History) flush(ctx context.Context) {
	if h.settings.Database == nil {
		return
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	all := database.History{Runs: h.pending, MostRuns: int(h.settings.Limits.MaxFailedRuns),
		MostErrors: hostservice.ErrorsKept}
	h.pending = nil
	now := time.Now()
	for id, j := range h.jobs {
		for _, e := range j.Errors.Since(h.written) {
			all.Errors = append(all.Errors, database.JobError{
				JobID: id, Kind: e.Kind, Message: e.Message, Occurrences: e.Count, FirstAt: e.FirstAt, LastAt: e.LastAt,
			})
		}
	}
	h.mu.Unlock()
	if len(all.Runs) == 0 && len(all.Errors) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := h.settings.Database.PutHistory(limited, all)
	if err == nil {
		// one that came while these were listed may have an earlier time
		h.written, h.failing = now.Add(-writeInterval), false
		return
	}
	if !h.failing && ctx.Err() == nil { // else whoever asked has gone
		h.settings.Logger.Error("the history of jobs could not be stored and is lost at a restart", "error", err)
		h.failing = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(all.Runs)+len(h.pending) <= mostPending {
		h.pending = append(all.Runs, h.pending...)
	}
}

// reap forgets what is too old.
func (h *History) reap(ctx context.Context) {
	since := time.Now().Add(-h.settings.Limits.ReaperThreshold.Duration)
	h.mu.Lock()
	for _, j := range h.jobs {
		j.Errors.Forget(since)
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := h.settings.Database.ForgetHistory(ctx, since); err != nil && ctx.Err() == nil {
		h.settings.Logger.Warn("old runs and errors of jobs could not be deleted", "error", err)
	}
}
