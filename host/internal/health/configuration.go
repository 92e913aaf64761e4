package health

import "time"

// Configuration is what is known of the node's configuration since the node runs with it.
type Configuration struct {
	// Fault is why it was not taken when it was read again last; empty: it was, or never was read again.
	Fault string
}

// State says what the facts mean.
func (c Configuration) State(now time.Time) State {
	return of(&c, now, []rule[Configuration]{{"not taken", untaken}})
}

func untaken(c *Configuration, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: "it was not taken when it was read again: " + c.Fault,
		Remedy: "correct it and run loop node reload: the node goes on with the one before, and would not start with this",
	}, c.Fault != ""
}
