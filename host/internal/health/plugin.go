package health

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Phase is the phase of a plugin's process.
type Phase int

// The phases.
const (
	// Starting means that the first generation does not serve yet.
	Starting Phase = iota
	// Serving means that a generation serves.
	Serving
	// Restarting means that a generation has ended and the next one does not serve yet.
	Restarting
	// Quarantined means that the plugin failed again and again and is seldom tried.
	Quarantined
)

// Plugin is the known facts about a plugin.
type Plugin struct {
	Name  string
	Phase Phase
	// Exit is how its last generation ended, or why it did not start; empty before the first end.
	Exit string
	// Since is when it came into its phase.
	Since time.Time
	// Ends is how many generations have ended by themselves in the last Window.
	Ends int
	// Parked are the objects that it could not make, with the reasons.
	Parked []string
}

const (
	// Window is the period in which the ends of a plugin's generations count.
	Window = 10 * time.Minute
	// oftenEnds is how many ends in a Window need a person: a single one may come from the machine, such as from a lack of
	// memory.
	oftenEnds = 3
)

// State returns the state that follows from the facts at a time.
func (p Plugin) State(now time.Time) State {
	return of(&p, now, []rule[Plugin]{
		{"quarantined", quarantined}, {"away", away}, {"starting again", startingAgain}, {"starting first", startingFirst},
		{"objects parked", parked}, {"ends often", endsOften},
	})
}

// fix is what to do about a plugin that does not stay up.
func (p *Plugin) fix() string {
	return fmt.Sprintf("see its log by loop plugins logs %s, fix what ends it, then loop plugins restart "+
		"%[1]s", p.Name)
}

func quarantined(p *Plugin, _ time.Time) (State, bool) {
	return State{
		Level: Failed, Reason: fmt.Sprintf("plugin %s is quarantined: %s", p.Name, p.Exit), Remedy: p.fix(),
	}, p.Phase == Quarantined
}

// away is a plugin that has been restarting for a long time.
func away(p *Plugin, now time.Time) (State, bool) {
	reason := fmt.Sprintf("plugin %s has not served for %s", p.Name, long(now, p.Since))
	if p.Exit != "" {
		reason += ": " + p.Exit
	}
	return State{Level: Failed, Reason: reason, Remedy: p.fix()},
		(p.Phase == Restarting || p.Phase == Starting) && now.Sub(p.Since) >= patience
}

func startingAgain(p *Plugin, _ time.Time) (State, bool) {
	return State{
		Level: Waiting, Reason: fmt.Sprintf("plugin %s starts again: %s", p.Name, p.Exit),
	}, p.Phase == Restarting
}

func startingFirst(p *Plugin, _ time.Time) (State, bool) {
	return State{Level: Waiting, Reason: fmt.Sprintf("plugin %s starts", p.Name)}, p.Phase == Starting
}

func parked(p *Plugin, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: fmt.Sprintf("plugin %s could not make "+
			"%s", p.Name, strings.Join(slices.Sorted(slices.Values(p.Parked)), "; ")),
		Remedy: "fix what the reason names: what may succeed is tried again",
	}, len(p.Parked) > 0
}

func endsOften(p *Plugin, _ time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: fmt.Sprintf("plugin %s has ended %d times in the last %s, last: "+
			"%s", p.Name, p.Ends, Window, p.Exit),
		Remedy: fmt.Sprintf("see its log by loop plugins logs %s", p.Name),
	}, p.Ends >= oftenEnds
}
