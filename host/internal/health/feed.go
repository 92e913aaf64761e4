package health

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Feed is the known facts about the feed of an OCR job.
type Feed struct {
	// Bootstrap is set for a job that follows the contract's configuration and makes no rounds.
	Bootstrap bool
	// Failure is why the job does not work until somebody fixes it; empty if nothing is known to be wrong.
	Failure string
	// Absent is what the job waits for before it can begin, with the reason; empty if it has everything.
	Absent map[string]string
	// Plugins are the states of the plugins that the job needs.
	Plugins []State
	// Chain is the state of the job's chain, and ChainName its name for people.
	Chain     State
	ChainName string
	// Account is the state of the account that sends the job's reports.
	Account State
	// Config has the outcomes of reading the contract's configuration.
	Config Attempts
	// Digest is the configuration's digest, in hexadecimal. If it is empty although Config was ever good, the contract
	// has none.
	Digest string
	// Ready is since when libocr has had all that it waits for before it begins that configuration: the contract names
	// it, and the chain has confirmed it. It is zero until then.
	Ready time.Time
	// Members is what the configuration says about this node; nil until it was read.
	Members *Members
	// Running is the digest of the configuration that libocr runs; empty if there is none.
	Running string
	// Begun is when libocr began to run it.
	Begun time.Time
	// Interval is the time between rounds that the configuration aims at.
	Interval time.Duration
	// Heard is when a message of each other oracle last came; the zero time for an oracle that was never heard.
	Heard map[int]time.Time
	// Round is when libocr last asked for an observation.
	Round time.Time
	// Observation has the outcomes of the job's own observations.
	Observation Attempts
	// Outcome, Report and Signature have the outcomes of the steps to a report, under the configuration that runs: of
	// computing what the network agrees on, which only OCR3 does apart, of asking the product for a report, and of signing
	// it. A product that says that no report is due has answered well.
	Outcome, Report, Signature Attempts
	// Agreement has the outcomes of comparing the job's newest observation with the contract's answer.
	Agreement Attempts
	// Transmission has the outcomes of handing reports to the relayer.
	Transmission Attempts
	// Delay is the time from libocr's request for an observation until the report of that round was handed to the
	// relayer, for the newest report; 0 if this node has handed over none of a round that it observed.
	Delay time.Duration
	// Ahead is by how much this node's clock was ahead of most other oracles' at the last comparison, at Compared; the
	// zero time if there was none.
	Ahead    time.Duration
	Compared time.Time
	// Clock has the outcomes of the comparison, which fails if the clocks are further apart than ClocksApart.
	Clock Attempts
	// Unlanded is when the oldest report was handed to the relayer that the contract has neither taken nor passed by;
	// zero if there is none, or if it is not known.
	Unlanded time.Time
}

// Members is what a configuration says about this node.
type Members struct {
	// Oracles and Faulty are the configuration's n and f.
	Oracles, Faulty int
	// Signer reports whether one of the oracles has the job's on-chain key, and Index is that oracle.
	Signer bool
	Index  int
	// Account is that oracle's transmitter, and Own the job's.
	Account, Own string
	// Fault is what keeps this node from taking part although it is a Signer, as a clause about the configuration;
	// empty if nothing does.
	Fault string
	// Budgets are the times that the configuration gives the parts of a round; nil if they cannot be read.
	Budgets []Budget
}

// Budget is how long a configuration lets one part of a round take.
type Budget struct {
	// Name is the name in the configuration, such as MaxDurationQuery.
	Name string
	Time time.Duration
	// Least is the least time that this node gives it, and Variable the variable that sets it; empty if none does.
	Least    time.Duration
	Variable string
	// Observes is set for the time of observations.
	Observes bool
	// Advice is set for a time that ends no call.
	Advice bool
}

// ClocksApart is how far the clocks of oracles may be apart. They are known in whole seconds, and observations of one
// round are made within a few.
const ClocksApart = 5 * time.Second

// begins is how long libocr may take to begin a configuration that is Ready. It asks for the contract's configuration
// every 2 minutes at least, and tries what failed again after 2 minutes at most. So it has failed twice by then.
const begins = 5 * time.Minute

// rounds is how many intervals of the configuration a feed may stand still.
const rounds = 5

// still is how long the feed may have no round before that is a fault.
func (f *Feed) still() time.Duration { return max(patience, rounds*f.Interval) }

// State returns the state that follows from the facts at a time.
func (f Feed) State(now time.Time) State {
	return of(&f, now, []rule[Feed]{
		{"failed", failed}, {"plugin", pluginless}, {"chain", chainless}, {"absent", absent}, {"config unread", unread},
		{"not configured", unconfigured}, {"not an oracle", stranger}, {"other keys", otherKeys},
		{"other transmitter", otherAccount}, {"not begun", unbegun}, {"starting", starting}, {"peers not heard", alone},
		{"no rounds", stalled}, {"nothing lands", unlanded},
		{"observations fail", blind}, {"makes no reports", mute}, {"observations stray", stray},
		{"relayer takes no reports", unhanded}, {"account", poor}, {"clock", untimely},
	})
}

func failed(f *Feed, _ time.Time) (State, bool) {
	return State{Level: Failed, Reason: f.Failure}, f.Failure != ""
}

func pluginless(f *Feed, _ time.Time) (State, bool) {
	for _, s := range f.Plugins {
		if s.Level == Failed {
			return State{Level: Failed, Reason: s.Reason, Remedy: s.Remedy}, true
		}
	}
	return State{}, false
}

func chainless(f *Feed, _ time.Time) (State, bool) {
	return State{
		Level: Failed, Reason: f.ChainName + ": " + f.Chain.Reason, Remedy: f.Chain.Remedy,
	}, f.Chain.Level == Failed
}

func absent(f *Feed, _ time.Time) (State, bool) {
	for _, what := range slices.Sorted(maps.Keys(f.Absent)) {
		return State{Level: Waiting, Reason: what + ": " + f.Absent[what]}, true
	}
	return State{}, false
}

// unread is a contract whose configuration cannot be read. A running feed goes on with the configuration that it has.
// But its reports do not land, since they go to the chain that cannot be read.
func unread(f *Feed, now time.Time) (State, bool) {
	if f.Config.Fault == "" || now.Sub(f.Config.Since) < patience && !f.Config.Good.IsZero() {
		return State{}, false
	}
	return State{
		Level: Failed,
		Reason: fmt.Sprintf("the contract's configuration has not been read for %s: "+
			"%s", long(now, f.Config.Since), f.Config.Fault),
		Remedy: "see that the chain's RPC nodes answer and that contractID names the feed's contract",
	}, true
}

func unconfigured(f *Feed, _ time.Time) (State, bool) {
	return State{
		Level: Waiting, Reason: "the contract has no configuration",
		Remedy: "its owner sets one with the public keys of the network's nodes, see loop keys list",
	}, !f.Config.Good.IsZero() && f.Digest == ""
}

// stranger is a node that the configuration does not name. libocr says so once, and runs nothing.
func stranger(f *Feed, _ time.Time) (State, bool) {
	if f.Bootstrap || f.Members == nil || f.Members.Signer {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: fmt.Sprintf("this node is not among the %d oracles of the contract's configuration %s: "+
			"none has the on-chain key "+
			"of the job's key bundle", f.Members.Oracles, f.Digest),
		Remedy: "name the bundle that the configuration has by ocrKeyBundleID, or have the contract's owner set this " +
			"node's keys, see loop keys list",
	}, true
}

// otherKeys is a configuration that has this node's on-chain key, but that the node cannot run. libocr says so once,
// too.
func otherKeys(f *Feed, _ time.Time) (State, bool) {
	if f.Bootstrap || f.Members == nil || f.Members.Fault == "" {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: fmt.Sprintf("the contract's configuration %s %s", f.Digest, f.Members.Fault),
		Remedy: "have the contract's owner set this node's keys, see loop keys list",
	}, true
}

func otherAccount(f *Feed, _ time.Time) (State, bool) {
	if f.Bootstrap || f.Members == nil || f.Members.Account == f.Members.Own {
		return State{}, false
	}
	return State{
		Level: Failed, Reason: fmt.Sprintf("the contract's configuration %s has %s for this node's transmitter, and the "+
			"job transmits from %s",
			f.Digest, f.Members.Account, f.Members.Own),
		Remedy: "name that account by transmitterID, or have the contract's owner set this one",
	}, true
}

// unbegun is a configuration that libocr does not begin although nothing that this node knows keeps it from that. Only
// libocr's log says why, such as of a digest that does not fit, and some of its errors it does not try again after.
func unbegun(f *Feed, now time.Time) (State, bool) {
	return State{
		Level: Failed, Reason: fmt.Sprintf("libocr has not begun the contract's configuration %s for %s", f.Digest,
			long(now, f.Ready)),
		Remedy: "see loop jobs errors ID",
	}, f.Running != f.Digest && !f.Ready.IsZero() && now.Sub(f.Ready) >= begins
}

// starting is the time until a configuration is read and runs.
func starting(f *Feed, _ time.Time) (State, bool) {
	reason := "OCR starts for the contract's configuration"
	switch {
	case f.Config.Good.IsZero():
		reason = "the contract's configuration is being read"
	case f.Ready.IsZero():
		reason = "the contract's configuration has not yet been confirmed by as many blocks as libocr waits for"
	}
	return State{Level: Waiting, Reason: reason}, f.Running == ""
}

// Hears reports whether another oracle was heard lately.
func (f *Feed) Hears(oracle int, now time.Time) bool { return now.Sub(f.Heard[oracle]) < f.still() }

// Peers returns how many of the other oracles were heard lately.
func (f *Feed) Peers(now time.Time) int {
	heard := 0
	for oracle := range f.Heard {
		if f.Hears(oracle, now) {
			heard++
		}
	}
	return heard
}

// alone is a feed without rounds whose node hears too few others. A round needs 2f+1 oracles, including this one.
func alone(f *Feed, now time.Time) (State, bool) {
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
		Level: Failed, Reason: fmt.Sprintf("no round for %s; hears %d of %d peers, needs "+
			"%d", quiet, heard, len(f.Heard), need),
		Remedy: "see that the other nodes run, that this one reaches a bootstrapper (p2pv2Bootstrappers), and that the " +
			"others reach its " +
			"[P2P.V2] AnnounceAddresses",
	}, heard < need
}

func stalled(f *Feed, now time.Time) (State, bool) {
	quiet, standing := f.quiet(now)
	return State{
		Level: Failed, Reason: fmt.Sprintf("no round for %s though enough peers are heard", quiet),
		Remedy: "see loop jobs errors, and the state of the other nodes",
	}, standing
}

// quiet is how long there was no round, and whether that is too long.
func (f *Feed) quiet(now time.Time) (time.Duration, bool) {
	last := f.Round
	if last.Before(f.Begun) {
		last = f.Begun
	}
	quiet := now.Sub(last)
	return quiet.Round(time.Second), !f.Bootstrap && quiet >= f.still()
}

// unlanded is a feed for which no node's reports reach the contract: a report of this node waits, and the contract has
// taken no newer one.
func unlanded(f *Feed, now time.Time) (State, bool) {
	if f.Unlanded.IsZero() || now.Sub(f.Unlanded) < landing {
		return State{}, false
	}
	s := State{
		Level: Failed, Reason: fmt.Sprintf("the contract has taken no report for %s, since this node handed one to its "+
			"relayer", long(now, f.Unlanded)),
		Remedy: "see loop chains list and loop keys audit, and that the accounts of the network's nodes have funds",
	}
	if f.Account.Level != Running {
		s.Reason += ": " + f.Account.Reason
		if f.Account.Remedy != "" {
			s.Remedy = f.Account.Remedy
		}
	}
	return s, true
}

// blind is a node whose observations fail. The others go on without it.
func blind(f *Feed, now time.Time) (State, bool) {
	if !f.Observation.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Degraded, Reason: "this node has observed nothing " + f.Observation.told(now),
		Remedy: "see which task failed by loop jobs runs ID --failed, and its input by loop jobs runs ID RUN",
	}, true
}

// mute is a node that observes, and makes nothing of what the network has observed. libocr only logs that, and the
// rounds go on without this node.
func mute(f *Feed, now time.Time) (State, bool) {
	for _, step := range []struct {
		lacks string
		of    *Attempts
	}{
		{"computed no outcome", &f.Outcome}, {"made no report", &f.Report}, {"signed no report", &f.Signature},
	} {
		if step.of.lasting(now) {
			return State{
				Level: Degraded, Reason: "this node has " + step.lacks + " " + step.of.told(now),
				Remedy: "see loop jobs errors ID, and the state of the job's plugins: loop plugins list",
			}, true
		}
	}
	return State{}, false
}

// stray is a node whose observations are far from the network's answers. The others outvote it.
func stray(f *Feed, now time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: fmt.Sprintf("this node's observations have been away from the contract's answer for %s: %s",
			long(now, f.Agreement.Since), f.Agreement.Fault),
		Remedy: "see that the job's sources are not stale and ask for the right price: loop jobs runs shows what each gave",
	}, f.Agreement.Fault != "" && now.Sub(f.Agreement.Since) >= patience
}

func unhanded(f *Feed, now time.Time) (State, bool) {
	if !f.Transmission.lasting(now) {
		return State{}, false
	}
	return State{
		Level: Degraded, Reason: "no report has reached the relayer " + f.Transmission.told(now),
		Remedy: "see the state of the job's relayer: loop plugins list",
	}, true
}

// poor is a node whose transmitter's transactions have no effect. The others transmit meanwhile.
func poor(f *Feed, _ time.Time) (State, bool) {
	return State{Level: Degraded, Reason: f.Account.Reason, Remedy: f.Account.Remedy}, f.Account.Level != Running
}

// untimely is a node whose clock differs from those of the others. The contract's time of an answer is the median of
// all oracles' times.
func untimely(f *Feed, now time.Time) (State, bool) {
	return State{
		Level: Degraded, Reason: "this machine's clock is " + Apart(f.Ahead) + " most peers'", Remedy: KeepClock,
	}, f.Clock.lasting(now)
}

// KeepClock is the remedy for a wrong clock.
const KeepClock = "have a time server keep this machine's clock, such as by chrony"

// Apart says for people how far a clock is ahead of or behind others.
func Apart(ahead time.Duration) string {
	if ahead < 0 {
		return (-ahead).Round(time.Second).String() + " behind"
	}
	return ahead.Round(time.Second).String() + " ahead of"
}
