// Package health decides about the state of the parts of a node (feeds, chains, plugins, bridges, the database, the
// configuration) and what people should do about it.
//
// The state is a pure function of facts and the time, which the caller supplies. It must not know how facts are
// gathered or how a state is shown.
package health

import (
	"fmt"
	"time"
)

// Level is how well a part does its work.
type Level int

// The levels, the best first.
const (
	// Running means that a part does all of its work.
	Running Level = iota
	// Degraded means that a part works but needs a person soon.
	Degraded
	// Waiting means that a part begins when something arrives.
	Waiting
	// Failed means that a part does not work until somebody fixes it.
	Failed
)

// Levels are all of them.
func Levels() []Level { return []Level{Running, Degraded, Waiting, Failed} }

// String is the level's name.
func (l Level) String() string { return [...]string{"running", "degraded", "waiting", "failed"}[l] }

// State is the state of a part, for people.
type State struct {
	Level Level
	// Cause identifies the situation, whatever its numbers are now: two states with the same cause are the same state.
	// It is empty when the part runs.
	Cause string
	// Reason is why the part is not running, as a clause without a full stop; empty when it is.
	Reason string
	// Remedy is what to do, in the same form; empty if the reason says it or there is nothing to do.
	Remedy string
}

// patience is how long a fault may last before it counts. In less time a failed leader is replaced, a plugin starts
// again, and an RPC node is connected again.
const patience = 15 * time.Second

// few is how many failures in a row may be chance.
const few = 3

// Attempts are the latest outcomes of a repeated action.
type Attempts struct {
	// Good is when it last succeeded.
	Good time.Time
	// Fault is why it last failed; empty if it succeeded last, or was never tried.
	Fault string
	// Since is when it first failed after its last success.
	Since time.Time
	// Failures is how often it has failed since.
	Failures int
	// Well and Ill are how often it succeeded and failed in all.
	Well, Ill uint64
}

// Note adds an outcome.
func (a *Attempts) Note(now time.Time, err error) {
	if err == nil {
		*a = Attempts{Good: now, Well: a.Well + 1, Ill: a.Ill}
		return
	}
	if a.Fault == "" {
		a.Since = now
	}
	a.Fault = err.Error()
	a.Failures++
	a.Ill++
}

// lasting tells whether something has failed few times in a row, or at least twice over patience. So something that is
// done rarely, such as the observations of a feed with a round a minute, counts as failing when it has failed again.
func (a *Attempts) lasting(now time.Time) bool {
	return a.Fault != "" && (a.Failures >= few || a.Failures > 1 && now.Sub(a.Since) >= patience)
}

// told is a fault with its duration and its number of occurrences.
func (a *Attempts) told(now time.Time) string {
	return fmt.Sprintf("for %s (failures: %d): %s", long(now, a.Since), a.Failures, a.Fault)
}

// long is how long ago something was, for people.
func long(now, at time.Time) string { return now.Sub(at).Round(time.Second).String() }

// rule recognises one state of a part that has the facts F.
type rule[F any] struct {
	cause string
	is    func(f *F, now time.Time) (State, bool)
}

// of is the state by the first rule that applies: later ones may only follow from it.
func of[F any](f *F, now time.Time, rules []rule[F]) State {
	for _, r := range rules {
		if s, ok := r.is(f, now); ok {
			s.Cause = r.cause
			return s
		}
	}
	return State{}
}
