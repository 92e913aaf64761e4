package source

import (
	"context"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// NewPipelines returns the pipelines that a product may run for its job. It calls ran for each run, with the reason if
// its last task failed. Close ends it.
func NewPipelines(s Settings, ran func(error)) *hostservice.Pipelines {
	all := map[string]hostservice.RunPipeline{}
	names := s.Spec.Sources()
	for at, p := range s.Spec.Product.Pipelines {
		of := s.source(p.Name, p.Pipeline)
		of.name = names[at].Name // as people are told it: one has none
		all[p.Name] = func(ctx context.Context) []*hostservicev1.TaskResult {
			started := time.Now()
			run, _, _ := of.run(ctx) // a product may want something else than an integer
			_, err := run.Final()
			of.keep(ctx, history.Ended{StartedAt: started, Run: run, Failure: err})
			ran(err)
			return results(of.pipeline, run)
		}
	}
	return hostservice.NewPipelines(all, s.Logger)
}

// results tells what the tasks of a run came to.
func results(p *pipeline.Pipeline, run *pipeline.Run) []*hostservicev1.TaskResult {
	var all []*hostservicev1.TaskResult
	for _, at := range p.Named() {
		result := run.Results[at]
		told := &hostservicev1.TaskResult{Task: result.Task.ID, Terminal: at == p.Terminal(), Error: result.Reason()}
		if result.Err == nil {
			told.ValueJson = pipeline.JSON(result.Value)
		}
		all = append(all, told)
	}
	return all
}
