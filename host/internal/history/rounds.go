package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Source is the source of the job that an observation belongs to.
type Source int

// The sources.
const (
	Value Source = iota
	Juels
	Gas
)

// String returns the source's name for people.
func (s Source) String() string {
	return [...]string{"value", "juels per fee coin", "gas price"}[s]
}

const (
	// roundsKept is how many rounds of a job are kept: at a round a second, the last two minutes.
	roundsKept = 120
	// reportsKept is how many of them have their report: an answer is read out of it when somebody asks.
	reportsKept = 20
)

// recorder keeps the results of a job's latest rounds, in memory.
type recorder struct {
	mu     sync.Mutex
	rounds map[hostservice.Round]*record
	order  []hostservice.Round // oldest first
}

type record struct {
	values    [3]*big.Int
	errors    [3]error
	done      [3]bool
	observed  time.Time
	took      time.Duration
	report    []byte // until its answer is known
	answer    *big.Int
	sent      time.Time
	sendFault string
	landed    bool
	by        string // the account whose transmission landed; empty: not known
}

// Happening is an event in a round.
type Happening struct {
	JobID int64
	Event nodev1.RoundEvent
	At    time.Time
	Round *nodev1.RoundObservation
	// Report is the round's report, if the event is that there is one.
	Report []byte
}

// Observing returns an observer that observes and records the result.
func (j *Job) Observing(s Source, observe hostservice.Observe) hostservice.Observe {
	return func(ctx context.Context, round hostservice.Round) (observed *big.Int, err error) {
		begin := time.Now()
		panicked := true
		defer func() {
			shown := err
			if panicked { // whoever called recovers it; here it is merely shown
				shown = errors.New("the source panicked")
			}
			took := time.Since(begin)
			j.happens(round, event(s), nil, func(r *record) {
				r.values[s], r.errors[s], r.done[s] = observed, shown, true
				if s == Value || r.observed.IsZero() {
					r.observed, r.took = begin, took
				}
			})
		}()
		observed, err = observe(ctx, round)
		panicked = false
		return observed, err
	}
}

// event is that a source's observation is: the value's alone is told.
func event(s Source) nodev1.RoundEvent {
	if s == Value {
		return nodev1.RoundEvent_ROUND_EVENT_OBSERVED
	}
	return nodev1.RoundEvent_ROUND_EVENT_UNSPECIFIED
}

// Reported is called with each report that the network makes.
func (j *Job) Reported(round hostservice.Round, report []byte) {
	j.happens(round, nodev1.RoundEvent_ROUND_EVENT_REPORTED, report, func(r *record) { r.report = report })
}

// Sent is called with the outcome of handing a round's report to the relayer.
func (j *Job) Sent(round hostservice.Round, err error) {
	j.happens(round, nodev1.RoundEvent_ROUND_EVENT_SENT, nil, func(r *record) {
		if r.sent, r.sendFault = time.Now(), ""; err != nil {
			r.sent, r.sendFault = time.Time{}, err.Error()
		}
	})
}

// Answered is called with the answer of a round's report.
func (j *Job) Answered(round hostservice.Round, answer *big.Int) {
	j.rounds.mu.Lock()
	defer j.rounds.mu.Unlock()
	if r := j.rounds.rounds[round]; r != nil {
		r.answer, r.report = answer, nil
	}
}

// Landed is called with a round whose report the contract has taken, and the account that transmitted it; empty: it is
// not known.
func (j *Job) Landed(round hostservice.Round, by string) {
	j.rounds.mu.Lock()
	defer j.rounds.mu.Unlock()
	if r := j.rounds.rounds[round]; r != nil {
		r.landed, r.by = true, cmp.Or(by, r.by)
	}
}

// Reports returns the reports of the latest rounds with unknown answers.
func (j *Job) Reports() map[hostservice.Round][]byte {
	j.rounds.mu.Lock()
	defer j.rounds.mu.Unlock()
	all := map[hostservice.Round][]byte{}
	for round, r := range j.rounds.rounds {
		if r.report != nil {
			all[round] = r.report
		}
	}
	return all
}

// happens changes the record of a round, and tells the listeners.
func (j *Job) happens(round hostservice.Round, event nodev1.RoundEvent, report []byte, change func(*record)) {
	j.rounds.mu.Lock()
	r := j.rounds.atLocked(round)
	change(r)
	var told *nodev1.RoundObservation
	if event != nodev1.RoundEvent_ROUND_EVENT_UNSPECIFIED && j.history.rounds.heard(j.id) {
		told = r.observation(round)
	}
	j.rounds.mu.Unlock()
	if told != nil {
		j.history.rounds.tell(j.id, &Happening{JobID: j.id, Event: event, At: time.Now(), Round: told, Report: report})
	}
}

// atLocked is the record of a round, which is begun if it is new.
func (r *recorder) atLocked(round hostservice.Round) *record {
	if entry := r.rounds[round]; entry != nil {
		return entry
	}
	if r.rounds == nil {
		r.rounds = map[hostservice.Round]*record{}
	}
	entry := &record{}
	r.rounds[round] = entry
	r.order = append(r.order, round)
	if len(r.order) > roundsKept {
		delete(r.rounds, r.order[0])
		r.order = append(r.order[:0], r.order[1:]...)
	}
	if at := len(r.order) - 1 - reportsKept; at >= 0 {
		r.rounds[r.order[at]].report = nil
	}
	return entry
}

// Observations returns the results of the latest rounds, at most limit, newest first. It leaves the newest round out
// until its three sources have answered or there is a report, because an absent value must mean that its source failed.
func (j *Job) Observations(limit int) []*nodev1.RoundObservation {
	r := &j.rounds
	r.mu.Lock()
	defer r.mu.Unlock()
	var latest []*nodev1.RoundObservation
	for i := len(r.order) - 1; i >= 0 && len(latest) < limit; i-- {
		round := r.order[i]
		entry := r.rounds[round]
		if i == len(r.order)-1 && entry.done != [3]bool{true, true, true} && entry.report == nil && entry.answer == nil {
			continue
		}
		latest = append(latest, entry.observation(round))
	}
	return latest
}

func (r *record) observation(round hostservice.Round) *nodev1.RoundObservation {
	o := &nodev1.RoundObservation{
		Timestamp: Timestamp(round), Value: wire.BigInt(r.values[Value]), JuelsPerFeeCoin: wire.BigInt(r.values[Juels]),
		GasPriceSubunits: wire.BigInt(
			r.values[Gas],
		), Answer: wire.BigInt(r.answer), SendError: r.sendFault, Landed: r.landed,
		Transmitter: r.by,
	}
	if !r.observed.IsZero() {
		o.ObservedAt, o.Took = timestamppb.New(r.observed), durationpb.New(r.took)
	}
	if !r.sent.IsZero() {
		o.SentAt = timestamppb.New(r.sent)
	}
	for s, err := range r.errors {
		if err != nil {
			o.Errors = append(o.Errors, fmt.Sprintf("%s: %v", Source(s), err))
		}
	}
	return o
}

// Timestamp returns a round in the form of messages.
func Timestamp(round hostservice.Round) *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: round.ConfigDigest[:], Epoch: round.Epoch,
		Round: uint32(round.Round)}
}
