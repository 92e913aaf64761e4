// Package health says what the parts of a node do (feeds, chains, plugins, bridges, the database, the configuration)
// and what people are to do about it. What it says is a pure function of facts and the time: whoever has the facts
// asks.
//
// It must not know how facts are gathered or how a state is shown.
package health

import (
	"fmt"
	"time"
)

// Level is how much a part does of what it should.
type Level int

// The levels, the best first.
const (
	// Running is a part that does all of it.
	Running Level = iota
	// Degraded is one that works while something needs a person soon.
	Degraded
	// Waiting is one that begins when something comes that is not there yet.
	Waiting
	// Failed is one that does not work until somebody fixes it.
	Failed
)

// Levels are all of them.
func Levels() []Level { return []Level{Running, Degraded, Waiting, Failed} }

// String is the level's name.
func (l Level) String() string { return [...]string{"running", "degraded", "waiting", "failed"}[l] }

// State is what a part does, for people.
type State struct {
	Level Level
	// Cause names the state of affairs, whatever its numbers are now: two states of one cause are one state. Empty when
	// the part runs.
	Cause string
	// Reason is why it is not running, as a clause without a full stop; empty when it is.
	Reason string
	// Remedy is what to do, likewise; empty where the reason says it or nothing is to be done.
	Remedy string
}

// patience is how long a fault may last before it is more than a hiccup: a leader that fails is replaced in less, a
// plugin starts again, an RPC node is connected again.
const patience = 15 * time.Second

// few is how many failures in a row may be chance.
const few = 3

// Attempts are the latest outcomes of something that is done again and again.
type Attempts struct {
	// Good is when it last went well.
	Good time.Time
	// Fault is why it failed last; empty: it went well last, or was never tried.
	Fault string
	// Since is when it first failed after it last went well.
	Since time.Time
	// Failures is how often it has failed since.
	Failures int
	// Well and Ill are how often it went well and failed in all.
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

// lasting tells whether something fails that does not merely fail once. What is done rarely, such as the observing of a
// feed with a round a minute, is known to fail when it has failed again.
func (a *Attempts) lasting(now time.Time) bool {
	return a.Fault != "" && (a.Failures >= few || a.Failures > 1 && now.Sub(a.Since) >= patience)
}

// told is a fault with how long it has lasted and how often it came.
func (a *Attempts) told(now time.Time) string {
	return fmt.Sprintf("for %s (failures: %d): %s", long(now, a.Since), a.Failures, a.Fault)
}

// long is how long ago something was, for people.
func long(now, at time.Time) string { return now.Sub(at).Round(time.Second).String() }

// rule recognises one state of affairs of a part that has the facts F.
type rule[F any] struct {
	cause string
	is    func(f *F, now time.Time) (State, bool)
}

// of is the state that the first rule says which is the case: what comes after it may follow from it.
func of[F any](f *F, now time.Time, rules []rule[F]) State {
	for _, r := range rules {
		if s, ok := r.is(f, now); ok {
			s.Cause = r.cause
			return s
		}
	}
	return State{}
}
