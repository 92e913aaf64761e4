// Package supervise decides about the generations of one plugin: when to launch, when to wait, when to give up for a
// while. It is a pure state machine: events and the time go in, effects come out. It knows no process, no clock and no
// connection.
package supervise

import (
	"fmt"
	"time"
)

// The figures of supervision.
const (
	// ShortUptime is how soon after readiness an end counts against the budget like a failed start.
	ShortUptime = 500 * time.Millisecond
	// LongUptime is how long a generation must have been ready to clear the budget.
	LongUptime = 10 * time.Second
	// Budget is how many bad generations in a row put a plugin into quarantine.
	Budget = 5
	// FirstPause is the pause before the launch after the second bad generation in a row; it doubles with each further
	// one.
	FirstPause = 100 * time.Millisecond
	// LongestPause bounds that pause.
	LongestPause = 5 * time.Second
	// QuarantinePause is the pause between launches in quarantine.
	QuarantinePause = time.Minute
)

// State is the state of a plugin.
type State int

// States.
const (
	Stopped State = iota
	Starting
	Ready
	Restarting
	Quarantined
)

// String returns the state as operators read it.
func (s State) String() string {
	switch s {
	case Stopped:
		return "stopped"
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Restarting:
		return "restarting"
	case Quarantined:
		return "quarantined"
	}
	return fmt.Sprintf("state %d", int(s))
}

// Event is what happened.
type Event int

// Events.
const (
	// Begin asks for the first generation.
	Begin Event = iota
	// BecameReady says that the generation launched last serves.
	BecameReady
	// Died says that the generation launched last has ended, ready or not, and that nothing of it is left.
	Died
	// Due says that the pause asked for last is over.
	Due
	// Restart says that the operator wants a new generation now.
	Restart
	// Stop says that the plugin must end for good.
	Stop
)

// Effect is an action to carry out. At most one of its fields is set.
type Effect struct {
	// Launch starts a generation; Died or BecameReady answers.
	Launch bool
	// Kill ends the current generation; Died answers.
	Kill bool
	// Pause asks for Due after that time. A later effect cancels an earlier pause.
	Pause time.Duration
}

// Machine holds the state of one plugin. The zero value has had no generation.
type Machine struct {
	state       State
	running     bool // a generation was launched and has not died
	stopping    bool
	bad         int // bad generations in a row
	generations uint64
	readyAt     time.Time
	// Jitter varies pauses: it returns a factor from 0.5 to 1.5. Nil means 1.
	Jitter func() float64
}

// State returns the state of the plugin.
func (m *Machine) State() State { return m.state }

// Generation returns the number of the current or last generation: it counts launches.
func (m *Machine) Generation() uint64 { return m.generations }

// Stopping reports whether Stop was asked for.
func (m *Machine) Stopping() bool { return m.stopping }

// Step handles an event. Events that do not fit the state have no effect.
func (m *Machine) Step(now time.Time, e Event) Effect {
	switch e {
	case Begin:
		if m.running || m.stopping {
			return Effect{}
		}
		return m.launch(Starting)
	case BecameReady:
		if !m.running || m.stopping {
			return Effect{}
		}
		m.state, m.readyAt = Ready, now
	case Died:
		return m.died(now)
	case Due:
		if m.running || m.stopping || (m.state != Restarting && m.state != Quarantined) {
			return Effect{}
		}
		return m.launch(m.state)
	case Restart:
		if m.stopping {
			return Effect{}
		}
		m.bad = 0
		if m.running {
			return Effect{Kill: true}
		}
		return m.launch(Restarting)
	case Stop:
		m.stopping = true
		if m.running {
			return Effect{Kill: true}
		}
		m.state = Stopped
	}
	return Effect{}
}

// launch begins a generation. In quarantine the state stays until the generation is ready, so that callers do not wait
// on it.
func (m *Machine) launch(s State) Effect {
	m.state, m.running = s, true
	m.generations++
	m.readyAt = time.Time{}
	return Effect{Launch: true}
}

func (m *Machine) died(now time.Time) Effect {
	if !m.running {
		return Effect{}
	}
	m.running = false
	if m.stopping {
		m.state = Stopped
		return Effect{}
	}
	switch {
	case m.readyAt.IsZero() || now.Sub(m.readyAt) < ShortUptime:
		m.bad++
	case now.Sub(m.readyAt) >= LongUptime:
		m.bad = 0
	}
	switch {
	case m.bad >= Budget:
		m.state = Quarantined
		return Effect{Pause: QuarantinePause}
	case m.bad <= 1:
		return m.launch(Restarting)
	}
	m.state = Restarting
	pause := min(FirstPause<<(m.bad-2), LongestPause)
	if m.Jitter != nil {
		pause = time.Duration(float64(pause) * m.Jitter())
	}
	return Effect{Pause: pause}
}
