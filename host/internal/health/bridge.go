package health

import (
	"fmt"
	"time"
)

// Bridge is what is known of a bridge to an external adapter.
type Bridge struct {
	Name string
	// Requests are those of all jobs that use it.
	Requests Attempts
}

// State says what the facts mean at a time. What has not been asked is not known to be ill.
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
