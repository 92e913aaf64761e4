package health

import (
	"fmt"
	"time"
)

// Bridge is the known facts about a bridge to an external adapter.
type Bridge struct {
	Name string
	// Requests are the requests of all jobs that use it.
	Requests Attempts
}

// State returns the state that follows from the facts at a time. A bridge that was not asked yet counts as well.
func (b Bridge) State(now time.Time) State {
	return of(&b, now, []rule[Bridge]{{"no answers", unanswered}})
}

func unanswered(b *Bridge, now time.Time) (State, bool) {
	if !b.Requests.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: fmt.Sprintf("bridge %s has given no good answer %s", b.Name, b.Requests.told(now)),
		Remedy: fmt.Sprintf("see that its adapter runs at the address of loop bridges url %s, and what the adapter's "+
			"own log says", b.Name),
	}, true
}
