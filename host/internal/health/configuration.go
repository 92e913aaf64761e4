package health

import "time"

// Configuration is the known facts about the configuration of a running node.
type Configuration struct {
	// Fault is why the last reload failed; empty if it succeeded, or if there was none.
	Fault string
}

// State returns the state that follows from the facts.
func (c Configuration) State(now time.Time) State {
	return of(&c, now, []rule[Configuration]{{"not taken", untaken}})
}

func untaken(c *Configuration, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: "it was not taken when it was read again: " + c.Fault,
		Remedy: "correct it and run loop node reload: the node goes on with the one before, and would not start with this",
	}, c.Fault != ""
}
