// Package trial runs the pipelines of a job spec once, as a node runs them for an observation, and keeps the inputs and
// the result of each task.
//
// It knows specs and pipelines. It must not know a node, a database or a chain: a trial has no job, so bridges receive
// no earlier observation, nothing is cached and contracts cannot be read.
package trial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
)

// progressInterval is how long a trial is silent. A task that answers at once needs no message, and one that uses up
// its 15 s gets two.
const progressInterval = 5 * time.Second

// Settings configure Run.
type Settings struct {
	// Spec is that of a median or a product, as job.Parse returns it. A median's source without a pipeline is observed
	// as 0.
	Spec *job.Spec
	// Sources names the sources of the spec to run.
	Sources []string
	// Bridges has the URL of each bridge that the sources use, by its name in lower case.
	Bridges map[string]string
	// Limits bound runs and requests, as they do on a node.
	Limits config.JobPipeline
	// HTTP makes the requests; default: the client that a node has.
	HTTP *http.Client
	// Progress, if set, is called from time to time with the tasks that a long trial waits for.
	Progress func(string)
}

// Run runs the sources concurrently, as a node does, and returns when each has ended, in the order of job.Spec.Sources.
// When ctx ends, they use what they have. The error is only about the settings: failures of sources are part of the
// result.
func Run(ctx context.Context, s Settings) ([]*trace.Source, error) {
	runner, err := pipeline.NewRunner(pipeline.Settings{
		Bridges: bridges(s.Bridges), Contracts: contracts{}, HTTP: s.HTTP,
		MaxRunDuration:     s.Limits.MaxRunDuration.Duration,
		DefaultHTTPTimeout: s.Limits.HTTPRequest.DefaultTimeout.Duration,
		MaxResponse:        s.Limits.HTTPRequest.MaxSize,
	})
	if err != nil {
		return nil, err
	}
	defer runner.Close()

	var runs []*run
	for _, source := range s.Spec.Sources() {
		if slices.Contains(s.Sources, source.Name) {
			runs = append(runs, &run{source: source, finished: map[string]bool{}})
		}
	}
	observed := make([]*trace.Source, len(runs))
	var wait sync.WaitGroup
	for at, r := range runs {
		wait.Go(func() { observed[at] = r.observe(ctx, runner, s.Spec) })
	}
	ended := make(chan struct{})
	go func() {
		wait.Wait()
		close(ended)
	}()
	started, ticker := time.Now(), time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return observed, nil
		case <-ticker.C:
			if text := progress(time.Since(started), runs); s.Progress != nil && text != "" {
				s.Progress(text)
			}
		}
	}
}

// progress says which tasks are under way, if any are.
func progress(since time.Duration, runs []*run) string {
	var waiting []string
	for _, r := range runs {
		if tasks := r.underWay(); len(tasks) > 0 {
			waiting = append(waiting, r.source.Name+": "+strings.Join(tasks, ", "))
		}
	}
	if len(waiting) == 0 {
		return ""
	}
	return fmt.Sprintf("after %s waiting for %s", since.Round(time.Second), strings.Join(waiting, "; "))
}

// run is the one run of a source's pipeline.
type run struct {
	source job.Source

	mu       sync.Mutex
	finished map[string]bool // by the task's ID
	failed   error           // of the task that failed last on its own
}

// observe runs the pipeline.
func (r *run) observe(ctx context.Context, runner *pipeline.Runner, spec *job.Spec) *trace.Source {
	if r.source.Pipeline == nil {
		return trace.None(r.source.Name)
	}
	ran := runner.Run(ctx, r.source.Pipeline, pipeline.Input{
		ExternalJobID: spec.ExternalJobID.String(), Name: spec.Name, ChainID: spec.ChainID,
		SpecID: r.source.Name, MaxTaskDuration: spec.MaxTaskDuration, Finished: r.note,
	})
	observed := trace.Of(r.source.Name, r.source.Pipeline, ran, spec.Product == nil, 0)
	if _, err := ran.Final(); errors.Is(err, pipeline.ErrCancelled) && r.failed != nil {
		observed.Error = fmt.Sprintf("%v, since %v", err, r.failed)
	}
	return observed
}

// note keeps what progress and errors are about.
func (r *run) note(result pipeline.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished[result.Task.ID] = true
	if result.Err != nil && !errors.Is(result.Err, pipeline.ErrCancelled) {
		r.failed = result.Err
	}
}

// underWay lists the tasks that have begun and not ended.
func (r *run) underWay() []string {
	if r.source.Pipeline == nil {
		return nil
	}
	r.mu.Lock()
	finished := maps.Clone(r.finished)
	r.mu.Unlock()
	all := r.source.Pipeline.Tasks()
	var names []string
	for at, awaited := range r.source.Pipeline.Awaits() {
		ready := !slices.ContainsFunc(awaited, func(position int) bool { return !finished[all[position].ID] })
		if ready && !finished[all[at].ID] {
			names = append(names, fmt.Sprintf("%s (%s)", all[at].ID, all[at].Type))
		}
	}
	return names
}

// bridges are the URLs that the trial was given.
type bridges map[string]string

// Bridge implements pipeline.Bridges.
func (b bridges) Bridge(_ context.Context, name string) (string, error) {
	if address, ok := b[strings.ToLower(name)]; ok {
		return address, nil
	}
	return "", errors.New("the trial was given no URL for it")
}

// contracts says why none can be read.
type contracts struct{}

// ReadContract implements pipeline.Contracts.
func (contracts) ReadContract(context.Context, pipeline.ContractRead) ([]byte, error) {
	return nil, errors.New("contracts are read through a relayer of a node, and a trial has none; " +
		"add the job to a node to see it run")
}
