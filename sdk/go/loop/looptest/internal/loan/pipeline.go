package loan

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// Run answers a run of a pipeline that has no answer yet.
type Run func(*hostservicev1.RunRequest) (*hostservicev1.RunResponse, error)

// Pipelines are the pipelines of a job.
type Pipelines struct {
	Hold
	script
	run Run

	mu      sync.Mutex
	answers map[string]*pipelineRun // by run_id
}

type pipelineRun struct {
	request  *hostservicev1.RunRequest
	response *hostservicev1.RunResponse
}

// NewPipelines returns pipelines whose runs are answered by run.
func NewPipelines(run Run) *Pipelines {
	return &Pipelines{Hold: newHold(), run: run, answers: map[string]*pipelineRun{}}
}

// Value returns a run of one task with a JSON value as its result.
func Value(json string) *hostservicev1.RunResponse {
	return &hostservicev1.RunResponse{
		Results: []*hostservicev1.TaskResult{{Task: "value", Terminal: true, ValueJson: []byte(json)}},
	}
}

// Answer implements Object. Like the node, it repeats the first answer for a repeated run.
func (p *Pipelines) Answer(ctx context.Context, _ string, request proto.Message) (any, error) {
	if err := p.pass(ctx); err != nil {
		return nil, err
	}
	if next := p.scripted(); next != nil {
		return next()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := request.(*hostservicev1.RunRequest)
	known := p.answers[r.GetRunId()]
	if known != nil && !proto.Equal(known.request, r) {
		return nil, status.Errorf(codes.AlreadyExists, "run_id: %q stands for another run", r.GetRunId())
	}
	if known == nil {
		response, err := p.run(r)
		if err != nil {
			return nil, err
		}
		known = &pipelineRun{r, response}
		p.answers[r.GetRunId()] = known
	}
	return known.response, nil
}
