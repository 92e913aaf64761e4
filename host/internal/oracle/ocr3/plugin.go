package ocr3

import (
	"context"
	"fmt"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/ocr3types"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
	"github.com/loop-plugins/loop/host/internal/oracle/making"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/reporting"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var _ ocr3types.ReportingPlugin[Info] = (*plugin)(nil)

const (
	// firstPause and lastPause are the shortest and the longest pause between the attempts of a call. The end of the epoch
	// bounds their number.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// mostBegun is how many attempts of ValidateObservation may begin in the process and have no answer. One may be the
	// process's own trouble; the runtime itself repeats a call under which the process has ended once.
	mostBegun = 2
	// decisionFloor is the least time for a decision on a report. libocr ends a decision at the configuration's time,
	// which may be 0, and then drops the report at this oracle for good.
	decisionFloor = deadline.Floor
	// maxDecisions bounds the decisions that are asked for at a time. libocr asks for those on all reports of a round
	// at once, up to 2000.
	maxDecisions = 16
	// turnLimit is how long a decision waits for its turn at least. A product that answers within 20 ms decides on the
	// reports of the largest round in a quarter of it.
	turnLimit = 10 * time.Second
)

// heal makes a call, and repeats it for as long as its round lasts. An error here would not be a delay but the loss of
// the oracle's vote until the next epoch. In ValidateObservation, libocr would take a proposal for invalid. So if the
// plugin is away, the call waits until it is back. libocr gives these calls no deadline: ctx ends with the epoch, and
// each attempt at the contract's time for the method. An answer of the product itself stands, except for UNAVAILABLE,
// by which it asks for time. lasts says after an error whether the round lasts: an epoch has many.
func heal[T any](ctx context.Context, lasts func(error) bool, call func(context.Context) (T, error)) (T, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		answer, err := call(ctx)
		code := status.Code(err)
		if code != codes.Unavailable && code != codes.DeadlineExceeded || ctx.Err() != nil || !lasts(err) {
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
	}
}

// always is for calls that no later round makes pointless.
func always(error) bool { return true }

// round notes that libocr asks for a round, and returns whether that lasts: until libocr asks for a later one.
func (p *plugin) round(seqNr uint64) (lasts func(error) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest = max(p.newest, seqNr)
	return func(error) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.newest <= seqNr
	}
}

// spares ends a call that has begun in the process and had no answer mostBegun times. It asks about what another oracle
// says, who may have made that slow or deadly, and the process serves every job of the product.
func spares(lasts func(error) bool) func(error) bool {
	begun := 0
	return func(err error) bool {
		if loophost.Began(err) {
			begun++
		}
		return begun < mostBegun && lasts(err)
	}
}

// limits are those that libocr was told.
func (p *plugin) limits() *reportingv1.Ocr3PluginLimits {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given.GetLimits()
}

// Query implements ocr3types.ReportingPlugin.
func (p *plugin) Query(ctx context.Context, at ocr3types.OutcomeContext) (_ types.Query, err error) {
	defer p.end(ctx, "Query", time.Now(), &err)
	request := &reportingv1.Ocr3PluginServiceQueryRequest{Context: contextTo(at)}
	response, err := heal(
		ctx,
		p.round(at.SeqNr),
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
			return p.remote.Query(ctx, request)
		},
	)
	if err == nil {
		err = Fits("query", len(response.GetQuery()), p.limits().GetMaxQueryLength())
	}
	if err != nil {
		return nil, err
	}
	return response.GetQuery(), nil
}

// Observation implements ocr3types.ReportingPlugin.
func (p *plugin) Observation(
	ctx context.Context,
	at ocr3types.OutcomeContext,
	query types.Query,
) (_ types.Observation, err error) {
	defer p.end(ctx, "Observation", time.Now(), &err)
	rounds := p.factory.settings.Rounds
	rounds.Asked(at.Epoch) //nolint:staticcheck // deprecated, but counted for people: nothing relies on it
	request := &reportingv1.Ocr3PluginServiceObservationRequest{Context: contextTo(at), Query: query}
	response, err := heal(
		ctx,
		p.round(at.SeqNr),
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
			return p.remote.Observation(ctx, request)
		},
	)
	if err == nil {
		err = Fits("observation", len(response.GetObservation()), p.limits().GetMaxObservationLength())
	}
	if ctx.Err() == nil { // else the epoch has ended
		rounds.Observed(err)
	}
	if err != nil {
		return nil, err
	}
	return response.GetObservation(), nil
}

// invalidError is an answer, and not a failed call: the observation of an oracle is not valid.
type invalidError struct {
	observer commontypes.OracleID
	problem  string
}

// Error implements error.
func (e *invalidError) Error() string {
	return fmt.Sprintf("the observation of oracle %d is not valid: %s", e.observer, e.problem)
}

// ValidateObservation implements ocr3types.ReportingPlugin. libocr does not distinguish an invalid observation from a
// failed call.
func (p *plugin) ValidateObservation(
	ctx context.Context,
	at ocr3types.OutcomeContext,
	query types.Query,
	observation types.AttributedObservation,
) (err error) {
	defer p.end(ctx, "ValidateObservation", time.Now(), &err)
	request := &reportingv1.Ocr3PluginServiceValidateObservationRequest{
		Context:     contextTo(at),
		Query:       query,
		Observation: observationTo(observation),
	}
	response, err := heal(
		ctx,
		spares(p.round(at.SeqNr)),
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
			return p.remote.ValidateObservation(ctx, request)
		},
	)
	switch {
	case err != nil:
		return fmt.Errorf(
			"%s could not say whether the observation of oracle %d is valid: %w",
			p.factory.settings.Name,
			observation.Observer,
			err,
		)
	case response.GetProblem() != "":
		return &invalidError{observation.Observer, response.GetProblem()}
	}
	return nil
}

// ObservationQuorum implements ocr3types.ReportingPlugin. It asks the product if that stated no number.
func (p *plugin) ObservationQuorum(
	ctx context.Context,
	at ocr3types.OutcomeContext,
	query types.Query,
	observations []types.AttributedObservation,
) (_ bool, err error) {
	defer p.end(ctx, "ObservationQuorum", time.Now(), &err)
	p.mu.Lock()
	quorum := p.given.GetObservationQuorum()
	p.mu.Unlock()
	if size, ok := reporting.QuorumSize(quorum, p.config.N, p.config.F); ok {
		return len(observations) >= size, nil
	}
	request := &reportingv1.Ocr3PluginServiceObservationQuorumRequest{
		Context:      contextTo(at),
		Query:        query,
		Observations: ocr2.ObservationsTo(observations),
	}
	response, err := heal(
		ctx,
		p.round(at.SeqNr),
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceObservationQuorumResponse, error) {
			return p.remote.ObservationQuorum(ctx, request)
		},
	)
	if err != nil {
		return false, err
	}
	return response.GetQuorumReached(), nil
}

// Outcome implements ocr3types.ReportingPlugin.
func (p *plugin) Outcome(
	ctx context.Context,
	at ocr3types.OutcomeContext,
	query types.Query,
	observations []types.AttributedObservation,
) (_ ocr3types.Outcome, err error) {
	defer p.end(ctx, "Outcome", time.Now(), &err)
	request := &reportingv1.Ocr3PluginServiceOutcomeRequest{
		Context:      contextTo(at),
		Query:        query,
		Observations: ocr2.ObservationsTo(observations),
	}
	response, err := heal(
		ctx,
		p.round(at.SeqNr),
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
			return p.remote.Outcome(ctx, request)
		},
	)
	if err == nil {
		err = Fits("outcome", len(response.GetOutcome()), p.limits().GetMaxOutcomeLength())
	}
	if err != nil {
		return nil, err
	}
	p.factory.settings.Rounds.Voted()
	return response.GetOutcome(), nil
}

// Reports implements ocr3types.ReportingPlugin.
func (p *plugin) Reports(
	ctx context.Context,
	seqNr uint64,
	outcome ocr3types.Outcome,
) (_ []ocr3types.ReportPlus[Info], err error) {
	defer p.end(ctx, "Reports", time.Now(), &err)
	request := &reportingv1.Ocr3PluginServiceReportsRequest{SeqNr: seqNr, Outcome: outcome}
	response, err := heal(ctx, always, func(ctx context.Context) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
		return p.remote.Reports(ctx, request)
	})
	if err != nil {
		return nil, err
	}
	reports, err := reportsOf(response, p.config.N, p.limits())
	if err != nil {
		return nil, err
	}
	p.factory.settings.Rounds.Reported(seqNr, len(reports))
	return reports, nil
}

// decide gives a decision on a report its turn, and then its time. libocr's deadline is the configuration's time; here
// it is at least decisionFloor, and libocr accepts an answer that comes late. The end of the configuration ends the
// decision if it can be seen. After libocr's own deadline it cannot be seen, and the end waits for the rest of the
// time.
func (p *plugin) decide(ctx context.Context, limit time.Duration) (context.Context, func(), error) {
	turn, stop := deadline.Own(ctx, max(limit, turnLimit))
	defer stop()
	select {
	case p.decisions <- struct{}{}:
	case <-turn.Done():
		return nil, nil, fmt.Errorf("waiting for %d decisions on other reports: %w", maxDecisions, turn.Err())
	}
	own, end := deadline.Own(ctx, max(limit, decisionFloor))
	return own, func() {
		<-p.decisions
		end()
	}, nil
}

// ShouldAcceptAttestedReport implements ocr3types.ReportingPlugin. An instance may say yes once: it remembers what it
// accepted and takes a repeat for stale. libocr repeats after a restart of the node, so that the first answer for a
// report is kept, before libocr has it, and a repeat is answered from there. Package making says what is asked of whom
// when an answer is lost.
func (p *plugin) ShouldAcceptAttestedReport(
	ctx context.Context,
	seqNr uint64,
	report ocr3types.ReportWithInfo[Info],
) (accept bool, err error) {
	defer p.end(ctx, "ShouldAcceptAttestedReport", time.Now(), &err)
	ctx, end, err := p.decide(ctx, p.config.MaxDurationShouldAcceptAttestedReport)
	if err != nil {
		return false, err
	}
	defer end()
	logger := p.factory.settings.Logger.With("configDigest", p.config.ConfigDigest, "seqNr", seqNr)
	request := &reportingv1.Ocr3PluginServiceShouldAcceptAttestedReportRequest{SeqNr: seqNr, Report: reportTo(report)}
	id := reporting.ReportID(request.GetReport())
	answer, known, err := p.factory.settings.Answers.Accepted(ctx, p.config.ConfigDigest, seqNr, id)
	if err != nil {
		logger.Warn("the stored answer for a report could not be read; the product is asked again", "error", err)
	} else if known {
		return answer, nil
	}
	answer, err = making.Once(ctx, &p.makings, func(ctx context.Context) (bool, bool, error) {
		var trailer metadata.MD
		response, err := p.remote.ShouldAcceptAttestedReport(ctx, request, grpc.Trailer(&trailer))
		lost := status.Code(err) == codes.Unavailable && len(trailer.Get(wire.GenerationKey)) == 0
		return response.GetShouldAccept(), lost, err
	})
	if err != nil {
		return false, err
	}
	kept, err := p.factory.settings.Answers.PutAccepted(ctx, p.config.ConfigDigest, seqNr, id, answer)
	if err != nil {
		// The answer still stands. Otherwise a report would be lost. The risk is a second answer to a repeated call, and the
		// relayer takes no report twice.
		logger.Warn("the answer for a report could not be stored", "error", err)
		return answer, nil
	}
	return kept, nil
}

// ShouldTransmitAcceptedReport implements ocr3types.ReportingPlugin.
func (p *plugin) ShouldTransmitAcceptedReport(
	ctx context.Context,
	seqNr uint64,
	report ocr3types.ReportWithInfo[Info],
) (_ bool, err error) {
	defer p.end(ctx, "ShouldTransmitAcceptedReport", time.Now(), &err)
	ctx, end, err := p.decide(ctx, p.config.MaxDurationShouldTransmitAcceptedReport)
	if err != nil {
		return false, err
	}
	defer end()
	request := &reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest{SeqNr: seqNr, Report: reportTo(report)}
	response, err := heal(
		ctx,
		always,
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
			return p.remote.ShouldTransmitAcceptedReport(ctx, request)
		},
	)
	if err != nil {
		return false, err
	}
	return response.GetShouldTransmit(), nil
}
