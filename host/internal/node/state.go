package node

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// lookInterval is how often the states of jobs are looked at for changes, which are logged and counted from.
const lookInterval = 2 * time.Second

// stated is a job's state with the time since which it has its cause.
type stated struct {
	health.State
	since time.Time
}

// parts are what a job runs on: its own processes or those that it shares.
type parts struct {
	plugins []*loophost.Plugin
	chain   *relayerv1loophost.Chain
}

// statuses keeps the states of the node's jobs.
type statuses struct {
	jobs   *jobs
	logger *slog.Logger
	gauge  *prometheus.GaugeVec

	cancel context.CancelFunc
	work   sync.WaitGroup

	looking sync.Mutex // a job that is removed must not come back as a series
}

// watchStates begins to look at the states of jobs.
func watchStates(j *jobs, registry prometheus.Registerer, logger *slog.Logger) *statuses {
	s := &statuses{jobs: j, logger: logger, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "loop_job_state", Help: "Which of its states a job is in: 1 for that, 0 for the others.",
	}, []string{"job_id", "job_name", "state"})}
	registry.MustRegister(s.gauge)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.work.Go(func() {
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		for {
			s.look(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return s
}

func (s *statuses) close() {
	s.cancel()
	s.work.Wait()
}

// look notes each job's state, and tells the log of those that are others than before.
func (s *statuses) look(ctx context.Context) {
	s.looking.Lock()
	defer s.looking.Unlock()
	troubles := chainTroubles{}
	for _, r := range s.jobs.list() {
		before, changed := r.note(r.state(troubles.of(ctx, r.parts.chain)))
		now := r.noted()
		for level := health.Running; level <= health.Failed; level++ {
			value := 0.0
			if level == now.Level {
				value = 1
			}
			s.gauge.WithLabelValues(strconv.FormatInt(r.stored.ID, 10), r.stored.Name, level.String()).Set(value)
		}
		if changed {
			s.tell(ctx, r, before, now)
		}
	}
}

// forget ends the series of a job that is removed.
func (s *statuses) forget(r *running) {
	s.looking.Lock()
	defer s.looking.Unlock()
	s.gauge.DeletePartialMatch(prometheus.Labels{"job_id": strconv.FormatInt(r.stored.ID, 10)})
}

func (s *statuses) tell(ctx context.Context, r *running, before, now stated) {
	level := map[health.Level]slog.Level{health.Waiting: slog.LevelWarn, health.Degraded: slog.LevelWarn,
		health.Failed: slog.LevelError}[now.Level]
	attributes := []slog.Attr{slog.Int64("job", r.stored.ID), slog.String("name", r.stored.Name),
		slog.String("state", now.Level.String())}
	if before.Cause != "" {
		attributes = append(attributes, slog.String("was", before.Level.String()),
			slog.Duration("for", now.since.Sub(before.since).Round(time.Second)))
	}
	if now.Reason != "" {
		attributes = append(attributes, slog.String("reason", now.Reason))
	}
	if now.Remedy != "" {
		attributes = append(attributes, slog.String("remedy", now.Remedy))
	}
	s.logger.LogAttrs(ctx, level, "a job's state changed", attributes...)
}

// state is what the job does now.
func (r *running) state(trouble string) health.State {
	if r.oracle == nil {
		return health.State{Level: health.Failed, Cause: "failed", Reason: r.failure()}
	}
	facts := r.oracle.Facts()
	facts.Failure = worded(facts.Failure)
	facts.Account = health.Account{Trouble: trouble}.State(time.Now())
	for _, p := range r.parts.plugins {
		if st := p.Status(); st.State == supervise.Quarantined {
			facts.Plugins = append(facts.Plugins, health.Plugin{Name: st.Name, Phase: health.Quarantined, Exit: st.LastExit}.State(time.Now()))
		}
	}
	s := facts.State(time.Now())
	s.Reason = worded(s.Reason)
	return s
}

// note keeps a state, and returns the one before and whether its cause is another.
func (r *running) note(s health.State) (before stated, changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before = r.last
	changed = before.since.IsZero() || before.Cause != s.Cause || before.Level != s.Level
	r.last.State = s
	if changed {
		r.last.since = time.Now()
	}
	return before, changed && !(before.since.IsZero() && s.Level == health.Running)
}

// noted is the state that was noted last.
func (r *running) noted() stated {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// chainTroubles asks each chain once for what is wrong with it.
type chainTroubles map[*relayerv1loophost.Chain]string

func (c chainTroubles) of(ctx context.Context, chain *relayerv1loophost.Chain) string {
	if chain == nil {
		return ""
	}
	trouble, known := c[chain]
	if !known {
		ctx, cancel := context.WithTimeout(ctx, healthTimeout)
		defer cancel()
		// What its RPC nodes say is the chain's own affair while one serves: the job's state tells when none does.
		if status, err := chain.ChainStatus(ctx, &relayerv1.ChainStatusRequest{}); err == nil {
			trouble = strings.Join(status.GetTroubles(), "; ")
		}
		c[chain] = trouble
	}
	return trouble
}

// check is the job's part of the node's health.
func (r *running) check() web.Check {
	s := r.noted()
	if s.since.IsZero() { // it was added a moment ago
		s.State = r.state("")
	}
	reason := s.Reason
	if s.Remedy != "" {
		reason += "; " + s.Remedy
	}
	return web.Check{Name: r.title(), Healthy: s.Level != health.Failed, Degraded: s.Level == health.Degraded ||
		s.Level == health.Waiting, Reason: reason}
}

// jobStates are the states of the API.
func jobStates() map[health.Level]nodev1.JobState {
	return map[health.Level]nodev1.JobState{
		health.Running: nodev1.JobState_JOB_STATE_RUNNING, health.Degraded: nodev1.JobState_JOB_STATE_DEGRADED,
		health.Waiting: nodev1.JobState_JOB_STATE_WAITING, health.Failed: nodev1.JobState_JOB_STATE_FAILED,
	}
}
