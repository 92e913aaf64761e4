package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

var _ hostservicev1.PipelineServiceServer = (*Pipelines)(nil)

const (
	// maxRuns bounds the runs of one job at a time: a product makes a handful for a round, and each may hold as many
	// connections as its pipeline has tasks.
	maxRuns = 16
	// maxValues bounds the values of one answer, in bytes of JSON: a message has at most 16 MiB.
	maxValues = 1 << 20
)

// RunPipeline runs one pipeline to its end. When the context ends, it returns what it has.
type RunPipeline func(context.Context) []*hostservicev1.TaskResult

// Pipelines serves the pipelines of one job. A run_id stands for one run, even if it is asked for repeatedly.
type Pipelines struct {
	all   map[string]RunPipeline
	runs  *first[string, *hostservicev1.RunResponse]
	turns chan struct{} // holds one for each run under way
}

// NewPipelines serves pipelines by name. Close ends runs in progress.
func NewPipelines(all map[string]RunPipeline, logger *slog.Logger) *Pipelines {
	return &Pipelines{
		all: all, runs: newFirst[string]("pipeline", logger, sizeOf), turns: make(chan struct{}, maxRuns),
	}
}

func sizeOf(response *hostservicev1.RunResponse) int { return proto.Size(response) }

// Close ends runs in progress and waits for them.
func (p *Pipelines) Close() { p.runs.close() }

// Run implements hostservicev1.PipelineServiceServer.
func (p *Pipelines) Run(ctx context.Context, request *hostservicev1.RunRequest) (*hostservicev1.RunResponse, error) {
	name := request.GetPipeline()
	run, ok := p.all[name]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "the job has no pipeline %q; it has %s", name, p.names())
	}
	return p.runs.get(ctx, request.GetRunId(), name, func(ctx context.Context) (*hostservicev1.RunResponse, error) {
		select {
		case p.turns <- struct{}{}:
			defer func() { <-p.turns }()
		case <-ctx.Done():
			return nil, status.Errorf(codes.DeadlineExceeded, "%d other runs of the job have not ended", maxRuns)
		}
		return &hostservicev1.RunResponse{Results: bounded(run(ctx))}, nil
	})
}

// names lists the pipelines for an error.
func (p *Pipelines) names() string {
	if len(p.all) == 0 {
		return "none"
	}
	var quoted []string
	for _, name := range slices.Sorted(maps.Keys(p.all)) {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return strings.Join(quoted, ", ")
}

// bounded cuts an answer to the size of a message. The last task's value has precedence; then come the others in their
// order.
func bounded(results []*hostservicev1.TaskResult) []*hostservicev1.TaskResult {
	left := maxValues
	fit := func(r *hostservicev1.TaskResult) {
		if left -= len(r.GetValueJson()); left >= 0 {
			return
		}
		left += len(r.GetValueJson())
		r.Error = fmt.Sprintf("the value of %d bytes does not fit: the values of a run have at most %d together",
			len(r.GetValueJson()), maxValues)
		r.ValueJson = nil
	}
	for _, last := range []bool{true, false} {
		for _, r := range results {
			r.Error = text(r.GetError())
			if r.GetTerminal() == last {
				fit(r)
			}
		}
	}
	return results
}
