package source

import (
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

// kind is which of a job's sources an observation is of.
type kind int

const (
	value kind = iota
	juels
	gas
)

func (k kind) String() string {
	return [...]string{"value", "juels per fee coin", "gas price"}[k]
}

// roundsRecorded is how many rounds a job shows to operators: at a round a second, the last eight minutes.
const roundsRecorded = 500

// recorder keeps what a job observed in its latest rounds, in memory.
type recorder struct {
	mu     sync.Mutex
	rounds map[hostservice.Round]*record
	order  []hostservice.Round // oldest first
}

type record struct {
	values   [3]*big.Int
	errors   [3]error
	done     [3]bool
	observed time.Time
	took     time.Duration
}

func newRecorder() *recorder { return &recorder{rounds: map[hostservice.Round]*record{}} }

// record returns an observer that observes and keeps what came of it.
func (r *recorder) record(k kind, observe func(context.Context) (*big.Int, error)) hostservice.Observe {
	return func(ctx context.Context, round hostservice.Round) (observed *big.Int, err error) {
		begin := time.Now()
		panicked := true
		defer func() {
			shown := err
			if panicked { // whoever called recovers it; here it is merely shown
				shown = errors.New("the source panicked")
			}
			r.put(k, round, observed, shown, begin)
		}()
		observed, err = observe(ctx)
		panicked = false
		return observed, err
	}
}

func (r *recorder) put(k kind, round hostservice.Round, observed *big.Int, err error, begin time.Time) {
	took := time.Since(begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.rounds[round]
	if entry == nil {
		entry = &record{}
		r.rounds[round] = entry
		r.order = append(r.order, round)
		if len(r.order) > roundsRecorded {
			delete(r.rounds, r.order[0])
			r.order = append(r.order[:0], r.order[1:]...)
		}
	}
	entry.values[k], entry.errors[k], entry.done[k] = observed, err, true
	if k == value || entry.observed.IsZero() {
		entry.observed, entry.took = begin, took
	}
}

// latest returns at most limit rounds, newest first. The newest of all is left out until its three sources have answered: an
// absent value must mean that its source failed.
func (r *recorder) latest(limit int) []*nodev1.RoundObservation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var latest []*nodev1.RoundObservation
	for i := len(r.order) - 1; i >= 0 && len(latest) < limit; i-- {
		round := r.order[i]
		entry := r.rounds[round]
		if i == len(r.order)-1 && entry.done != [3]bool{true, true, true} {
			continue
		}
		observation := &nodev1.RoundObservation{
			Timestamp:        &reportingv1.ReportTimestamp{ConfigDigest: round.ConfigDigest[:], Epoch: round.Epoch, Round: uint32(round.Round)},
			Value:            wire.BigInt(entry.values[value]),
			JuelsPerFeeCoin:  wire.BigInt(entry.values[juels]),
			GasPriceSubunits: wire.BigInt(entry.values[gas]),
			ObservedAt:       timestamppb.New(entry.observed),
			Took:             durationpb.New(entry.took),
		}
		for k, err := range entry.errors {
			if err != nil {
				observation.Errors = append(observation.Errors, fmt.Sprintf("%s: %v", kind(k), err))
			}
		}
		latest = append(latest, observation)
	}
	return latest
}
