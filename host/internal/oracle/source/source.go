// Package source runs the pipelines of jobs: for a median job to observe its value, its fee coin's price and its gas
// price, and for a product's job whenever the product asks for one.
//
// It knows pipelines, and what is kept between their runs. It must not know libocr or plugins: others lend the data
// sources that it makes, and rounds are only names to it.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

// Settings configure New.
type Settings struct {
	JobID         int64
	ExternalJobID string
	// Spec is the job, as job.Parse returns it.
	Spec      *job.Spec
	Pipelines *pipeline.Runner
	// Database stores the price of a median job's fee coin.
	Database *database.Database
	// History records runs and observations.
	History *history.Job
	// Rounds are the rounds in which a median job's sources may be observed; nil means all.
	Rounds *hostservice.Rounds
	Logger *slog.Logger
}

func (s Settings) source(name string, p *pipeline.Pipeline) *source {
	chain := ""
	if s.Spec.ReadsContracts {
		chain = s.Spec.ChainID
	}
	return &source{name: name, history: s.History, runner: s.Pipelines, pipeline: p, input: pipeline.Input{
		JobID: s.JobID, ExternalJobID: s.ExternalJobID, Name: s.Spec.Name,
		SpecID: fmt.Sprintf("%d/%s", s.JobID, name), MaxTaskDuration: s.Spec.MaxTaskDuration, ChainID: chain,
		Relay: s.Spec.Relay,
	}}
}

// Sources are the data sources of one median job.
type Sources struct {
	Value, JuelsPerFeeCoin, GasPriceSubunits *hostservice.DataSource

	cache *cache // nil: every observation asks for the fee coin's price
}

// New returns a median job's sources. It fetches the price of the fee coin from now on, unless the job says otherwise.
// Close ends them.
func New(s Settings) (*Sources, error) {
	plugin := s.Spec.PluginConfig
	if s.Spec.Observation == nil || plugin.JuelsPerFeeCoin == nil {
		return nil, errors.New("the job has no observationSource or no juelsPerFeeCoinSource: a median job needs both")
	}
	all := &Sources{}
	price := s.source("juels", plugin.JuelsPerFeeCoin).observe
	if c := plugin.JuelsPerFeeCoinCache; !c.Disable {
		refresh := price
		all.cache = newCache(cacheSettings{
			observe: func(ctx context.Context) (*big.Int, error) { return refresh(ctx, nil) },
			store:   s.Database, jobID: s.JobID, interval: c.UpdateInterval, staleness: c.StalenessAlertThreshold,
			logger: s.Logger,
		})
		price = func(ctx context.Context, _ *hostservice.Round) (*big.Int, error) { return all.cache.get(ctx) }
	}
	gasPrice := func(context.Context, *hostservice.Round) (*big.Int, error) { return new(big.Int), nil }
	if plugin.GasPriceSubunits != nil {
		gasPrice = s.source("gas", plugin.GasPriceSubunits).observe
	}
	serve := func(of history.Source,
		observe func(context.Context, *hostservice.Round) (*big.Int, error)) *hostservice.DataSource {
		return hostservice.NewDataSource(
			s.History.Observing(of, func(ctx context.Context, round hostservice.Round) (*big.Int, error) {
				return observe(ctx, &round)
			}), s.Rounds, s.Logger)
	}
	all.Value = serve(history.Value, s.source("value", s.Spec.Observation).observe)
	all.JuelsPerFeeCoin = serve(history.Juels, price)
	all.GasPriceSubunits = serve(history.Gas, gasPrice)
	return all, nil
}

// Close ends what is in progress and waits for it.
func (s *Sources) Close() {
	// The cache last: observations under way may be waiting for it.
	s.Value.Close()
	s.JuelsPerFeeCoin.Close()
	s.GasPriceSubunits.Close()
	if s.cache != nil {
		s.cache.close()
	}
}

// source is one pipeline of a job. Its runs tell bridges the source's previous observation.
type source struct {
	name     string
	history  *history.Job
	runner   *pipeline.Runner
	pipeline *pipeline.Pipeline
	input    pipeline.Input

	mu   sync.Mutex
	meta pipeline.Meta
}

// observe runs the pipeline once, for a round or, of a cached price, for none.
func (s *source) observe(ctx context.Context, round *hostservice.Round) (*big.Int, error) {
	started := time.Now()
	ran, observed, err := s.run(ctx)
	s.keep(ctx, history.Ended{Round: round, StartedAt: started, Run: ran, Failure: err, Median: true})
	return observed, err
}

// keep has the history keep a run. One that is ended with its job has not failed.
func (s *source) keep(ctx context.Context, e history.Ended) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	e.Source, e.Pipeline = s.name, s.pipeline
	s.history.Ran(e)
}

// run runs the pipeline once, and also returns the resulting integer, if there is one. When ctx ends, the run returns
// the results that it has.
func (s *source) run(ctx context.Context) (*pipeline.Run, *big.Int, error) {
	input := s.input
	s.mu.Lock()
	input.Meta = s.meta
	s.mu.Unlock()
	run := s.runner.Run(ctx, s.pipeline, input)
	observed, err := run.Integer()
	if err != nil {
		return run, nil, err
	}
	s.mu.Lock()
	s.meta = pipeline.Meta{LatestAnswer: observed, UpdatedAt: time.Now()}
	s.mu.Unlock()
	return run, observed, nil
}
