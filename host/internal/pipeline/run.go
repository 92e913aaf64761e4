package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/loop-plugins/loop/host/internal/pipeline/egress"
)

// The defaults are those of the established node, in its sections JobPipeline and JobPipeline.HTTPRequest.
const (
	defaultMaxRunDuration = 10 * time.Minute
	defaultHTTPTimeout    = 15 * time.Second
	defaultMaxResponse    = 32 << 10
)

// ErrCancelled is the error of the tasks that a failed task with failEarly=true has kept from running.
var ErrCancelled = errors.New("task run cancelled (fail early)")

// Bridges knows where the bridges are.
type Bridges interface {
	// Bridge returns the URL of a bridge, which may contain secrets. The name is as in the pipeline. An error says why
	// there is no URL; the Runner says of which bridge.
	Bridge(ctx context.Context, name string) (url string, err error)
}

// Settings configure a Runner. Each has a default except Bridges.
type Settings struct {
	// Bridges finds bridges; it is needed even if no pipeline uses one.
	Bridges Bridges
	// Contracts reads contracts; without it every task of type ethcall fails.
	Contracts Contracts
	// HTTP makes the requests that may go anywhere. A copy that checks where it connects makes the requests that may go
	// only to public addresses. Default: a new client without a time limit, since every call has one.
	HTTP *http.Client
	// MaxRunDuration bounds a whole run; default 10 minutes.
	MaxRunDuration time.Duration
	// DefaultHTTPTimeout bounds one attempt of an http, bridge or ethcall task that has no timeout attribute; default 15
	// seconds.
	DefaultHTTPTimeout time.Duration
	// MaxResponse is the largest size in bytes of a reply's body or a contract's answer; default 32 KiB.
	MaxResponse int64
	// BridgeCacheTTL is for bridge tasks without cacheTTL; default 0, which means no cache.
	BridgeCacheTTL time.Duration
	// Ended, if set, is called for each task that ran, and Asked for each request to a bridge, which a cache or a
	// shared request may save, with the duration and the reason of a failure. They must not block.
	Ended func(task Task, took time.Duration, err error)
	Asked func(bridge string, took time.Duration, err error)
	// Logger gets failed tasks at level debug and stale answers at warn; default none.
	Logger *slog.Logger
}

// Runner runs pipelines. Any number of runs may be in progress. Between runs it keeps idle connections and the last
// good answers of bridges.
type Runner struct {
	bridges            Bridges
	contracts          Contracts
	client, restricted *http.Client
	maxRunDuration     time.Duration
	defaultHTTPTimeout time.Duration
	maxResponse        int64
	bridgeCacheTTL     time.Duration
	ended              func(Task, time.Duration, error)
	asked              func(string, time.Duration, error)
	logger             *slog.Logger
	flights            singleflight.Group
	cache              cache
	urls               sync.Map // by a bridge's name: what of its URL must not be shown, as []string
}

// NewRunner checks the settings.
func NewRunner(settings Settings) (*Runner, error) {
	switch {
	case settings.Bridges == nil:
		return nil, errors.New("cannot make a runner of pipelines: the settings have no Bridges")
	case settings.MaxRunDuration < 0, settings.DefaultHTTPTimeout < 0, settings.BridgeCacheTTL < 0:
		return nil, errors.New("cannot make a runner of pipelines: a duration of the settings is negative")
	case settings.MaxResponse < 0 || settings.MaxResponse > 1<<30:
		return nil, fmt.Errorf("cannot make a runner of pipelines: MaxResponse must be from 1 byte to 1 GiB, and is %d",
			settings.MaxResponse)
	}
	r := &Runner{
		bridges:            settings.Bridges,
		contracts:          settings.Contracts,
		client:             settings.HTTP,
		maxRunDuration:     settings.MaxRunDuration,
		defaultHTTPTimeout: settings.DefaultHTTPTimeout,
		maxResponse:        settings.MaxResponse,
		bridgeCacheTTL:     settings.BridgeCacheTTL,
		ended:              settings.Ended,
		asked:              settings.Asked,
		logger:             settings.Logger,
		cache:              cache{entries: map[cacheKey]cached{}},
	}
	if r.client == nil {
		r.client = &http.Client{Transport: egress.Transport()}
	}
	r.restricted = egress.Client(r.client, egress.Public)
	if r.maxRunDuration == 0 {
		r.maxRunDuration = defaultMaxRunDuration
	}
	if r.defaultHTTPTimeout == 0 {
		r.defaultHTTPTimeout = defaultHTTPTimeout
	}
	if r.maxResponse == 0 {
		r.maxResponse = defaultMaxResponse
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	return r, nil
}

// Close closes idle connections. It does not affect runs in progress.
func (r *Runner) Close() {
	r.client.CloseIdleConnections()
	r.restricted.CloseIdleConnections()
}

// Input is the part of its job that a run may see.
type Input struct {
	JobID         int64  // $(jb.databaseID)
	ExternalJobID string // $(jb.externalJobID)
	Name          string // $(jb.name)
	Meta          Meta
	// ChainID is the chain for tasks of type ethcall that name none, in decimal; empty if there is none. Relay is the
	// job's.
	ChainID, Relay string
	// SpecID identifies a pipeline of a Runner in the cache of bridge answers, such as "<job>/value".
	SpecID string
	// MaxTaskDuration bounds each attempt of each task; 0 means no bound.
	MaxTaskDuration time.Duration
	// Finished, if set, is called with the result of each task as it comes, once and by one goroutine. The run waits
	// for it to return.
	Finished func(Result)
}

// Meta is the previous observation of the same source, which bridges receive. The zero value means that there is none
// yet. The caller sets it after each run whose result became an integer, and keeps it after a failed run.
type Meta struct {
	LatestAnswer *big.Int
	UpdatedAt    time.Time
}

// variables returns what $(jb…) and $(jobRun…) give.
func (in Input) variables() map[string]any {
	meta := map[string]any{"latestAnswer": nil, "updatedAt": nil}
	if in.Meta.LatestAnswer != nil {
		meta["latestAnswer"] = in.Meta.LatestAnswer
		meta["updatedAt"] = in.Meta.UpdatedAt.Unix()
	}
	return map[string]any{
		"jb":     map[string]any{"databaseID": in.JobID, "externalJobID": in.ExternalJobID, "name": in.Name},
		"jobRun": map[string]any{"meta": meta},
	}
}

// Result is the result of one task.
type Result struct {
	Task     Task
	Value    any // of JSON's types, a number of another type or []byte, not to be changed; nil if Err is set
	Err      error
	Duration time.Duration // from the first attempt to the end, waits between attempts included
	Attempts int           // 0 if the task was cancelled before it ran

	secrets []string // that the task's request held
	size    int      // of Value, in rough bytes
}

// Reason says why the task failed, without its ID; empty if it did not fail.
func (r Result) Reason() string {
	var own *TaskError
	switch {
	case r.Err == nil:
		return ""
	case errors.As(r.Err, &own):
		return own.Err.Error()
	}
	return r.Err.Error()
}

// Run is the record of one run.
type Run struct {
	Results  []Result // in the order of Pipeline.Tasks
	Duration time.Duration

	terminal int
	secrets  []string // of its requests
}

// Final returns the value of the terminal task. It ignores errors of other tasks; use Results to see them.
func (r *Run) Final() (any, error) {
	last := r.Results[r.terminal]
	return last.Value, last.Err
}

// Integer returns Final's value as an answer for a chain: see [Integer].
func (r *Run) Integer() (*big.Int, error) {
	final, err := r.Final()
	if err != nil {
		return nil, err
	}
	answer, err := Integer(final)
	return answer, r.discreet(err)
}

// resultSize is about what a result takes beside its value.
const resultSize = 200

// Size returns how much memory the run's results take, roughly, in bytes.
func (r *Run) Size() int {
	size := resultSize * len(r.Results)
	for _, result := range r.Results {
		size += result.size
	}
	return size
}

// end takes the result of a task that has ended, and returns it for the tasks that wait for it.
func (r *Run) end(result *Result) outcome {
	for _, secret := range result.secrets {
		if !slices.Contains(r.secrets, secret) {
			r.secrets = append(r.secrets, secret)
		}
	}
	longestFirst(r.secrets)
	if result.Err != nil {
		result.Err = &TaskError{Task: result.Task, Err: r.discreet(result.Err)}
	}
	return outcome{task: result.Task.ID, value: result.Value, err: result.Err}
}

// NotRun reports whether a task's error is that of another task, because of which it did not run.
func NotRun(err error) bool {
	var upstream *upstreamError
	return errors.As(err, &upstream) || errors.Is(err, ErrCancelled)
}

// TaskError is the error of one task.
type TaskError struct {
	Task Task
	Err  error
}

// Error names the task; it has about 1 KiB at most.
func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s (%s): %s", shorten(e.Task.ID, 64), e.Task.Type, shorten(e.Err.Error(), 1024))
}

func (e *TaskError) Unwrap() error { return e.Err }

// Run runs a pipeline to its end. It returns when each task has a result. When the context ends, calls in progress stop
// and no new ones start, but tasks that only compute still run, so that a median can use the sources that answered.
func (r *Runner) Run(ctx context.Context, p *Pipeline, in Input) *Run {
	started := time.Now()
	ctx, stop := context.WithTimeoutCause(ctx, r.maxRunDuration,
		fmt.Errorf("the run took longer than %s", r.maxRunDuration))
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	run := &Run{Results: make([]Result, len(p.tasks)), terminal: p.terminal.position}
	outcomes := make([]outcome, len(p.tasks))
	awaits := make([]int, len(p.tasks))
	base := scope{outcomes: outcomes, run: in.variables(), relay: in.Relay, chainID: in.ChainID,
		spec: specKey{id: in.SpecID, digest: p.digest}}
	finished := make(chan int, len(p.tasks))
	start := func(t *task) {
		go func() {
			run.Results[t.position] = r.task(ctx, t, base, in.MaxTaskDuration)
			finished <- t.position // hands it to the loop below, and through it to the tasks that wait
		}()
	}

	underWay := 0
	for _, t := range p.tasks {
		if awaits[t.position] = t.awaits; t.awaits == 0 {
			underWay++
			start(t)
		}
	}
	done := make([]bool, len(p.tasks))
	tell := func(result Result) {
		if in.Finished != nil {
			in.Finished(result)
		}
	}
	early := false
	for ; underWay > 0; underWay-- {
		t := p.tasks[<-finished]
		outcomes[t.position] = run.end(&run.Results[t.position])
		if early {
			continue // was under way when another task ended the run
		}
		done[t.position] = true
		tell(run.Results[t.position])
		if outcomes[t.position].err != nil && t.common.failEarly {
			early = true
			cancel(ErrCancelled)
			continue
		}
		for _, next := range t.dependents {
			if awaits[next.position]--; awaits[next.position] == 0 {
				underWay++
				start(next)
			}
		}
	}
	for _, t := range p.tasks {
		result := &run.Results[t.position]
		if !done[t.position] { // after failEarly alone
			result.Task, result.Value = t.describe(), nil
			result.Err = &TaskError{Task: result.Task, Err: ErrCancelled}
			tell(*result)
		} else if own := (*TaskError)(nil); errors.As(result.Err, &own) {
			own.Err = run.discreet(own.Err) // who answered one request may know the secrets of another
			r.logger.DebugContext(ctx, "pipeline task failed", "job", in.JobID, "error", own)
		}
	}
	run.Duration = time.Since(started)
	return run
}

func (t *task) describe() Task { return Task{ID: t.name, Type: t.kind, Line: t.line} }

// task runs one task, with its retries.
func (r *Runner) task(ctx context.Context, t *task, s scope, limit time.Duration) Result {
	started := time.Now()
	result := Result{Task: t.describe()}
	s.inputs = make([]outcome, len(t.inputs))
	for i, input := range t.inputs {
		s.inputs[i] = s.outcomes[input.position]
	}
	call, value, err := r.evaluate(ctx, t, s)
	result.Attempts = 1
	if call != nil {
		// Only calls are repeated: whatever else fails would fail again in the same way.
		value, err = r.attempt(ctx, t, call, limit)
		// A task that fails early ends the run at its first failure: that leaves it no second attempt.
		for ; err != nil && !t.common.failEarly && result.Attempts < int(t.common.attempts); result.Attempts++ {
			if !pause(ctx, t.common.backoff.wait(result.Attempts)) {
				break
			}
			value, err = r.attempt(ctx, t, call, limit)
		}
		if c, ok := call.(discreet); ok {
			result.secrets = c.secretsOf(r)
		}
	}
	size, ok := weigh(value, r.maxValue())
	if result.size = size; err == nil && !ok {
		err = fmt.Errorf("the result is larger than %d bytes", r.maxValue())
	}
	if result.Value = value; err != nil {
		result.Value, result.Err = nil, err
	}
	result.Duration = time.Since(started)
	if r.ended != nil {
		r.ended(result.Task, result.Duration, err)
	}
	return result
}

// maxValue bounds the result of a task, in rough bytes: no more than the largest reply can become when it is parsed. It
// keeps a chain of tasks that each double a text, or a list of lists, from filling the memory.
func (r *Runner) maxValue() int { return int(max(1<<20, 8*r.maxResponse)) }

// evaluate computes a task's value, or prepares its call.
func (r *Runner) evaluate(ctx context.Context, t *task, s scope) (c call, value any, err error) {
	defer recovered(ctx, r.logger, t.name, &err)
	if !t.tolerant {
		if err := s.failedInput(); err != nil {
			return nil, nil, err
		}
	}
	if preparer, ok := t.behaviour.(preparer); ok {
		c, err = preparer.prepare(s)
		return c, nil, err
	}
	value, err = t.behaviour.(evaluator).evaluate(s)
	return nil, value, err
}

// attempt makes a call once, in the time that one attempt has.
func (r *Runner) attempt(ctx context.Context, t *task, c call, limit time.Duration) (value any, err error) {
	defer recovered(ctx, r.logger, t.name, &err)
	if ctx.Err() != nil {
		err := fmt.Errorf("not started: %w", context.Cause(ctx))
		if earlier, ok := c.(lasting); ok {
			return earlier.stored(ctx, r, err)
		}
		return nil, err
	}
	timeout := r.defaultHTTPTimeout
	if t.common.timeout != nil {
		timeout = *t.common.timeout
	}
	for _, bound := range []struct {
		duration time.Duration
		name     string
	}{{timeout, "timeout"}, {limit, "maxTaskDuration"}} {
		if bound.duration > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeoutCause(ctx, bound.duration,
				fmt.Errorf("the time for one attempt is over (%s is %s)", bound.name, bound.duration))
			defer stop()
		}
	}
	return c.do(ctx, r)
}

// pause waits, and reports whether the context lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recovered turns a panic into an error: a fault in one task must not end the node.
func recovered(ctx context.Context, logger *slog.Logger, task string, err *error) {
	if fault := recover(); fault != nil {
		logger.ErrorContext(ctx, "pipeline task panicked", "task", task, "panic", fault, "stack", string(debug.Stack()))
		*err = fmt.Errorf("the task panicked: %v; this is a fault of the node, please report it", fault)
	}
}
