package feed

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Level is how much a feed does of what it should.
type Level int

// The levels, the best first.
const (
	// Running is a feed that does all of it.
	Running Level = iota
	// Degraded is one that works while something needs a person soon.
	Degraded
	// Waiting is one that begins when something comes that is not there yet.
	Waiting
	// Failed is one that does not work until somebody mends it.
	Failed
)

// String is the level's name.
func (l Level) String() string { return [...]string{"running", "degraded", "waiting", "failed"}[l] }

// State is what a feed does, for people.
type State struct {
	Level Level
	// Cause names the state of affairs, whatever its numbers are now: two states of one cause are one state. Empty when it
	// runs.
	Cause string
	// Reason is why it is not running, as a clause without a full stop; empty when it is.
	Reason string
	// Remedy is what to do, likewise; empty where the reason says it or nothing is to be done.
	Remedy string
}

const (
	// patience is how long a feed may stand still before that is said, at least: a leader that fails is replaced in less.
	patience = 15 * time.Second
	// rounds is how many intervals of the configuration it may stand still.
	rounds = 5
)

// still is how long the feed may stand still before that is a fault.
func (f *Facts) still() time.Duration { return max(patience, rounds*f.Interval) }

// rule recognises one state of affairs.
type rule struct {
	cause string
	is    func(f *Facts, now time.Time) (State, bool)
}

// Of says what the facts mean at a time.
func Of(f Facts, now time.Time) State {
	for _, r := range rules() {
		if s, ok := r.is(&f, now); ok {
			s.Cause = r.cause
			return s
		}
	}
	return State{}
}

// rules are asked in their order: the first that is the case is the cause, and what comes after it may follow from it.
func rules() []rule {
	return []rule{
		{"failed", failed}, {"plugin", pluginless}, {"absent", absent}, {"config unread", unread},
		{"not configured", unconfigured}, {"not an oracle", stranger},
		{"other transmitter", otherAccount}, {"starting", starting}, {"peers not heard", alone}, {"no rounds", stalled},
		{"observations fail", blind}, {"relayer takes no reports", unhanded}, {"chain", troubled},
	}
}

func failed(f *Facts, _ time.Time) (State, bool) {
	return State{Level: Failed, Reason: f.Failure}, f.Failure != ""
}

func pluginless(f *Facts, _ time.Time) (State, bool) {
	return State{
		Level: Failed, Reason: f.Plugin, Remedy: "mend what ends it, then start it by loop plugins restart",
	}, f.Plugin != ""
}

func absent(f *Facts, _ time.Time) (State, bool) {
	for _, what := range slices.Sorted(maps.Keys(f.Absent)) {
		return State{Level: Waiting, Reason: what + ": " + f.Absent[what]}, true
	}
	return State{}, false
}

// unread is a contract whose configuration cannot be read. A feed that runs goes on with the one that it has, and lands
// nothing: it is read from the chain that reports go to.
func unread(f *Facts, now time.Time) (State, bool) {
	if f.Config.Fault == "" || now.Sub(f.Config.Since) < patience && !f.Config.Good.IsZero() {
		return State{}, false
	}
	return State{
		Level: Failed,
		Reason: fmt.Sprintf("the contract's configuration has not been read for %s: %s", long(now, f.Config.Since),
			f.Config.Fault),
		Remedy: "see that the chain's RPC nodes answer and that contractID names the feed's contract",
	}, true
}

func unconfigured(f *Facts, _ time.Time) (State, bool) {
	return State{
		Level: Waiting, Reason: "the contract has no configuration",
		Remedy: "its owner sets one with the public keys of the network's nodes, see loop keys list",
	}, !f.Config.Good.IsZero() && f.Digest == ""
}

// stranger is a node that the configuration does not name. libocr says so once, and runs nothing.
func stranger(f *Facts, _ time.Time) (State, bool) {
	if f.Bootstrap || f.Members == nil || f.Members.Signer {
		return State{}, false
	}
	return State{
		Level: Failed,
		Reason: fmt.Sprintf("this node is not among the %d oracles of the contract's configuration %s: none has the "+
			"on-chain key "+
			"of the job's key bundle", f.Members.Oracles, f.Digest),
		Remedy: "name the bundle that the configuration has by ocrKeyBundleID, or have the contract's owner set this " +
			"node's keys, see loop keys list",
	}, true
}

func otherAccount(f *Facts, _ time.Time) (State, bool) {
	if f.Bootstrap || f.Members == nil || f.Members.Account == f.Members.Own {
		return State{}, false
	}
	return State{
		Level: Failed,
		Reason: fmt.Sprintf("the contract's configuration %s has %s for this node's transmitter, and the job transmits "+
			"from %s",
			f.Digest, f.Members.Account, f.Members.Own),
		Remedy: "name that account by transmitterID, or have the contract's owner set this one",
	}, true
}

// starting is the time until a configuration is read and runs.
func starting(f *Facts, _ time.Time) (State, bool) {
	reason := "OCR starts for the contract's configuration"
	if f.Config.Good.IsZero() {
		reason = "the contract's configuration is being read"
	}
	return State{Level: Waiting, Reason: reason}, f.Running == ""
}

// Hears reports whether another oracle was heard lately.
func (f *Facts) Hears(oracle int, now time.Time) bool { return now.Sub(f.Heard[oracle]) < f.still() }

// Peers is how many of the other oracles were heard lately.
func (f *Facts) Peers(now time.Time) int {
	heard := 0
	for oracle := range f.Heard {
		if f.Hears(oracle, now) {
			heard++
		}
	}
	return heard
}

// alone is a feed without rounds whose node hears too few others. 2f+1 oracles make a round, this one among them.
func alone(f *Facts, now time.Time) (State, bool) {
	quiet, standing := f.quiet(now)
	if !standing {
		return State{}, false
	}
	heard := f.Peers(now)
	faulty := len(f.Heard) / 3 // the most that a network of so many others can bear, while its configuration was not read
	if f.Members != nil {
		faulty = f.Members.Faulty
	}
	need := 2 * faulty
	return State{
		Level:  Failed,
		Reason: fmt.Sprintf("no round for %s; hears %d of %d peers, needs %d", quiet, heard, len(f.Heard), need),
		Remedy: "see that the other nodes run, that this one reaches a bootstrapper (p2pv2Bootstrappers), and that the " +
			"others reach its " +
			"[P2P.V2] AnnounceAddresses",
	}, heard < need
}

func stalled(f *Facts, now time.Time) (State, bool) {
	quiet, standing := f.quiet(now)
	return State{
		Level: Failed, Reason: fmt.Sprintf("no round for %s though enough peers are heard", quiet),
		Remedy: "see loop jobs errors, and the state of the other nodes",
	}, standing
}

// quiet is how long there was no round, and whether that is too long.
func (f *Facts) quiet(now time.Time) (time.Duration, bool) {
	last := f.Round
	if last.Before(f.Begun) {
		last = f.Begun
	}
	quiet := now.Sub(last)
	return quiet.Round(time.Second), !f.Bootstrap && quiet >= f.still()
}

// blind is a node whose observations fail. The others go on without it.
func blind(f *Facts, now time.Time) (State, bool) {
	if !f.Observation.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Degraded,
		Reason: fmt.Sprintf("this node has observed nothing for %s (failures: %d): %s", long(now, f.Observation.Since),
			f.Observation.Failures, f.Observation.Fault),
		Remedy: "see the job's sources: loop jobs runs shows what each task came to",
	}, true
}

func unhanded(f *Facts, now time.Time) (State, bool) {
	if !f.Transmission.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Degraded,
		Reason: fmt.Sprintf("no report has reached the relayer for %s (failures: %d): %s", long(now, f.Transmission.Since),
			f.Transmission.Failures, f.Transmission.Fault),
		Remedy: "see the state of the job's relayer: loop plugins list",
	}, true
}

func troubled(f *Facts, _ time.Time) (State, bool) {
	return State{Level: Degraded, Reason: f.Trouble}, f.Trouble != ""
}

// few is how many failures in a row may be chance.
const few = 3

// lasting tells whether something fails that does not merely fail once.
func (a *Attempts) lasting(now time.Time) bool {
	return a.Fault != "" && (a.Failures >= few || now.Sub(a.Since) >= patience)
}

// long is how long ago something was, for people.
func long(now, at time.Time) string { return now.Sub(at).Round(time.Second).String() }
