package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/reporting"
)

// round is one attempt to agree on an outcome.
type round struct {
	*network
	leader  *oracle
	context *reportingv1.OutcomeContext
	query   []byte
}

// run makes the round. It returns nil if the round brings no outcome.
func (r *round) run(ctx context.Context) (*Outcome, error) {
	if err := r.disturb(ctx, r.leader); err != nil {
		return nil, err
	}
	answer, err := ask(
		ctx,
		r.leader,
		"Query",
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceQueryResponse, error) {
			return r.leader.plugin.Query(ctx, &reportingv1.Ocr3PluginServiceQueryRequest{Context: r.context})
		},
	)
	if err != nil {
		return nil, r.bear(err)
	}
	r.query = answer.GetQuery()
	if err := within("Query", len(r.query), r.leader.info.GetLimits().GetMaxQueryLength()); err != nil {
		return nil, err
	}
	observations, err := r.observe(ctx)
	if err != nil {
		return nil, err
	}
	proposal, err := r.gather(ctx, observations)
	if proposal == nil || err != nil {
		return nil, err
	}
	outcome, err := r.vote(ctx, proposal)
	if outcome == nil || err != nil {
		return nil, err
	}
	reports, err := r.report(ctx, outcome.Outcome)
	if err != nil {
		return nil, err
	}
	outcome.Reports = reports
	for i, report := range reports {
		transmitted, err := r.transmit(ctx, report)
		if err != nil {
			return nil, fmt.Errorf("report %d: %w", i, err)
		}
		outcome.Transmitted = append(outcome.Transmitted, transmitted)
	}
	return outcome, nil
}

// bear records an error that costs an oracle its part in the round. It returns the error if it is a breach of the
// contract.
func (r *round) bear(err error) error {
	if errors.Is(err, errFault) {
		return err
	}
	r.result.Errors = append(r.result.Errors, err.Error())
	return nil
}

// within checks a length against its limit.
func within(method string, length int, limit uint32) error {
	if length > int(limit) {
		return fmt.Errorf("%s answered %d bytes; the plugin declared at most %d", method, length, limit)
	}
	return nil
}

// observe has every oracle that the leader's message reaches observe. It returns the observations that reach the
// leader, in the order of their arrival.
func (r *round) observe(ctx context.Context) ([]*reportingv1.AttributedObservation, error) {
	var arrived []*reportingv1.AttributedObservation
	garbled := 0
	for _, o := range r.oracles {
		if r.lost() {
			continue
		}
		if err := r.disturb(ctx, o); err != nil {
			return nil, err
		}
		var made []byte
		borne := false
		for range r.times() {
			answer, err := ask(
				ctx,
				o,
				"Observation",
				func(ctx context.Context) (*reportingv1.Ocr3PluginServiceObservationResponse, error) {
					return o.plugin.Observation(
						ctx,
						&reportingv1.Ocr3PluginServiceObservationRequest{Context: r.context, Query: r.query},
					)
				},
			)
			if err != nil {
				if err := r.bear(err); err != nil {
					return nil, err
				}
				borne = true
				break
			}
			made = answer.GetObservation()
			if err := within("Observation", len(made), o.info.GetLimits().GetMaxObservationLength()); err != nil {
				return nil, err
			}
		}
		if borne || r.lost() {
			continue
		}
		if garbled < r.settings.F && r.chance(r.settings.Garble) {
			garbled++
			made = r.nonsense(made, int(o.info.GetLimits().GetMaxObservationLength()))
		}
		arrived = append(arrived, &reportingv1.AttributedObservation{Observation: made, Observer: uint32(o.id)})
	}
	r.result.Garbled += garbled
	r.random.Shuffle(len(arrived), func(i, j int) { arrived[i], arrived[j] = arrived[j], arrived[i] })
	return arrived, nil
}

// nonsense is what a faulty oracle sends in place of an observation: bytes of any kind, or one that is cut off or has a
// bit changed.
func (r *round) nonsense(made []byte, limit int) []byte {
	made = bytes.Clone(made)
	switch r.random.IntN(3) {
	case 0:
		if len(made) > 0 {
			return made[:r.random.IntN(len(made))]
		}
	case 1:
		if len(made) > 0 {
			made[r.random.IntN(len(made))] ^= 1 << r.random.IntN(8)
			return made
		}
	}
	made = make([]byte, r.random.IntN(min(limit, 200)+1))
	for i := range made {
		made[i] = byte(r.random.Uint32())
	}
	return made
}

// validate asks an oracle whether an observation can be used.
func (r *round) validate(
	ctx context.Context,
	o *oracle,
	observation *reportingv1.AttributedObservation,
) (problem string, err error) {
	answer, err := ask(
		ctx,
		o,
		"ValidateObservation",
		func(ctx context.Context) (*reportingv1.Ocr3PluginServiceValidateObservationResponse, error) {
			return o.plugin.ValidateObservation(
				ctx,
				&reportingv1.Ocr3PluginServiceValidateObservationRequest{
					Context:     r.context,
					Query:       r.query,
					Observation: observation,
				},
			)
		},
	)
	return answer.GetProblem(), err
}

// gather is the leader's part: it takes observations that can be used until they suffice, and maybe some more. It
// returns nil where they do not suffice.
func (r *round) gather(
	ctx context.Context,
	arrived []*reportingv1.AttributedObservation,
) ([]*reportingv1.AttributedObservation, error) {
	if err := r.disturb(ctx, r.leader); err != nil {
		return nil, err
	}
	var proposal []*reportingv1.AttributedObservation
	reached := false
	for _, observation := range arrived {
		if reached && r.chance(0.25) {
			break // the time to wait for more is over
		}
		var problems []string
		for range r.times() {
			problem, err := r.validate(ctx, r.leader, observation)
			if err != nil {
				return nil, err
			}
			problems = append(problems, problem)
		}
		if (problems[0] == "") != (problems[len(problems)-1] == "") {
			return nil, fmt.Errorf(
				"the ValidateObservation of oracle %d has two answers for one observation: %q",
				r.leader.id,
				problems,
			)
		}
		if problems[0] != "" {
			continue
		}
		proposal = append(proposal, observation)
		now, err := r.leader.quorum(
			ctx,
			&reportingv1.Ocr3PluginServiceObservationQuorumRequest{
				Context:      r.context,
				Query:        r.query,
				Observations: proposal,
			},
		)
		if err != nil {
			return nil, err
		}
		if reached && !now {
			return nil, fmt.Errorf(
				"the ObservationQuorum of oracle %d says no to %d observations, and said yes to fewer of them",
				r.leader.id,
				len(proposal),
			)
		}
		reached = now
	}
	if !reached {
		return nil, nil
	}
	return proposal, nil
}

// vote has every oracle that the proposal reaches make the outcome. It returns nil if too few do.
func (r *round) vote(ctx context.Context, proposal []*reportingv1.AttributedObservation) (*Outcome, error) {
	var outcome *Outcome
	votes, first := 0, 0
	for _, o := range r.oracles {
		if r.lost() {
			continue
		}
		if err := r.disturb(ctx, o); err != nil {
			return nil, err
		}
		if err := r.agrees(ctx, o, proposal); err != nil {
			return nil, err
		}
		for range r.times() {
			made, err := r.decide(ctx, o, proposal)
			if err != nil {
				return nil, err
			}
			if outcome == nil {
				first = o.id
				outcome = &Outcome{
					SeqNr: r.context.GetSeqNr(), Query: r.query, Outcome: made, Observations: slices.Clone(proposal),
				}
			} else if !bytes.Equal(outcome.Outcome, made) {
				return nil, fmt.Errorf("the outcome of oracle %d is %s, and that of oracle %d is %s: Outcome must be pure",
					o.id, shown(made), first, shown(outcome.Outcome))
			}
		}
		votes++
	}
	if votes < (r.settings.N+r.settings.F)/2+1 {
		return nil, nil
	}
	return outcome, nil
}

// agrees checks that an oracle judges a proposal as the leader did.
func (r *round) agrees(ctx context.Context, o *oracle, proposal []*reportingv1.AttributedObservation) error {
	for _, observation := range proposal {
		problem, err := r.validate(ctx, o, observation)
		if err != nil {
			return err
		}
		if problem != "" {
			return fmt.Errorf("an observation of oracle %d is not valid to oracle %d (%s), and is to oracle %d: all must "+
				"judge alike",
				observation.GetObserver(), o.id, problem, r.leader.id)
		}
	}
	reached, err := o.quorum(ctx, &reportingv1.Ocr3PluginServiceObservationQuorumRequest{
		Context: r.context, Query: r.query, Observations: proposal,
	})
	if err == nil && !reached {
		err = fmt.Errorf("the ObservationQuorum of oracle %d says no to %d observations, to which it is yes for oracle %d",
			o.id, len(proposal), r.leader.id)
	}
	return err
}

// decide asks an oracle for the outcome of a proposal.
func (r *round) decide(ctx context.Context, o *oracle, proposal []*reportingv1.AttributedObservation) ([]byte, error) {
	request := &reportingv1.Ocr3PluginServiceOutcomeRequest{Context: r.context, Query: r.query, Observations: proposal}
	call := func(ctx context.Context) (*reportingv1.Ocr3PluginServiceOutcomeResponse, error) {
		return o.plugin.Outcome(ctx, request)
	}
	answer, err := ask(ctx, o, "Outcome", call)
	if err != nil {
		return nil, err
	}
	return answer.GetOutcome(), within("Outcome", len(answer.GetOutcome()), o.info.GetLimits().GetMaxOutcomeLength())
}

// report has every oracle make the reports, also those that had no part in the outcome.
func (r *round) report(ctx context.Context, outcome []byte) ([]*reportingv1.ReportPlus, error) {
	var agreed *reportingv1.Ocr3PluginServiceReportsResponse
	for _, o := range r.oracles {
		if err := r.disturb(ctx, o); err != nil {
			return nil, err
		}
		answer, err := ask(
			ctx,
			o,
			"Reports",
			func(ctx context.Context) (*reportingv1.Ocr3PluginServiceReportsResponse, error) {
				return o.plugin.Reports(
					ctx,
					&reportingv1.Ocr3PluginServiceReportsRequest{SeqNr: r.context.GetSeqNr(), Outcome: outcome},
				)
			},
		)
		if err != nil {
			return nil, err
		}
		limits := o.info.GetLimits()
		if n := len(answer.GetReports()); n > int(limits.GetMaxReportCount()) {
			return nil, fmt.Errorf(
				"a call of Reports answered %d reports; the plugin declared at most %d",
				n,
				limits.GetMaxReportCount(),
			)
		}
		for i, report := range answer.GetReports() {
			err := errors.Join(
				within("Reports", len(report.GetReport().GetReport()), limits.GetMaxReportLength()),
				within("Reports with an info", len(report.GetReport().GetInfo()), limits.GetMaxReportInfoLength()),
				reporting.CheckSchedule(report.GetSchedule(), r.settings.N))
			if err != nil {
				return nil, fmt.Errorf("reports[%d]: %w", i, err)
			}
		}
		if agreed == nil {
			agreed = answer
		} else if !proto.Equal(agreed, answer) {
			return nil, fmt.Errorf("the reports of oracle %d are {%v}, and those of oracle %d are {%v}: Reports must be pure",
				o.id, answer, r.oracles[0].id, agreed)
		}
	}
	return agreed.GetReports(), nil
}

// transmit asks the oracles of a report's schedule whether to transmit it, and returns those that did.
func (r *round) transmit(ctx context.Context, report *reportingv1.ReportPlus) ([]int, error) {
	var turns []*oracle
	for _, o := range r.oracles {
		if s := report.GetSchedule(); s == nil || slices.Contains(s.GetTransmitters(), uint32(o.id)) {
			turns = append(turns, o)
		}
	}
	r.random.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	var accepted []*oracle
	for _, o := range turns {
		for range r.times() { // a node that was restarted asks again, and finds the answer that it has kept
			yes, err := o.accept(ctx, r.context.GetSeqNr(), report.GetReport())
			if err != nil {
				return nil, err
			}
			if yes && !slices.Contains(accepted, o) {
				accepted = append(accepted, o)
			}
		}
	}
	var transmitted []int
	for _, o := range accepted {
		if err := r.disturb(ctx, o); err != nil {
			return nil, err
		}
		answer, err := ask(
			ctx,
			o,
			"ShouldTransmitAcceptedReport",
			func(ctx context.Context) (*reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportResponse, error) {
				return o.plugin.ShouldTransmitAcceptedReport(
					ctx,
					&reportingv1.Ocr3PluginServiceShouldTransmitAcceptedReportRequest{
						SeqNr:  r.context.GetSeqNr(),
						Report: report.GetReport(),
					},
				)
			},
		)
		if err != nil {
			return nil, err
		}
		if !answer.GetShouldTransmit() {
			continue
		}
		transmitted = append(transmitted, o.id)
		for _, other := range r.oracles {
			other.show(ctx, r.context.GetSeqNr(), report.GetReport().GetReport())
		}
	}
	return transmitted, nil
}

func shown(b []byte) string {
	if len(b) > 100 {
		return fmt.Sprintf("%x… of %d bytes", b[:100], len(b))
	}
	return fmt.Sprintf("%x", b)
}
