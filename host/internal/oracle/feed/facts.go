// Package feed knows what a job of OCR really does: it gathers facts where they happen, and says what they mean for the
// people who run the node. What they mean is a pure function of the facts and the time.
//
// It must not know plugins, contracts or how anything is shown.
package feed

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// Facts are what is known of a feed at a time.
type Facts struct {
	// Bootstrap is set of a job that follows the contract's configuration and makes no rounds.
	Bootstrap bool
	// Failure is why the job cannot do what it should until somebody mends it; empty: nothing is known to be wrong.
	Failure string
	// Absent is what the job waits for before it can begin, with why it is not there; empty: it has all of it.
	Absent map[string]string
	// Plugin is why a plugin that the job needs does not run again by itself; empty: they run, or come back.
	Plugin string
	// Trouble is what is wrong with the job's chain, as its relayer says it; empty: nothing.
	Trouble string

	// Config is the reading of the contract's configuration.
	Config Attempts
	// Digest is the configuration's, in hexadecimal; empty: the contract has none, if Config was ever good.
	Digest string
	// Members is what the configuration says of this node; nil until it was read.
	Members *Members
	// Running is the digest of the configuration that libocr runs; empty: none.
	Running string
	// Begun is when libocr began to run it.
	Begun time.Time
	// Interval is the time between rounds that the configuration aims at.
	Interval time.Duration

	// Heard is when a message of each other oracle last came. An oracle that was never heard has the zero time.
	Heard map[int]time.Time
	// Round is when libocr last asked for an observation.
	Round time.Time
	// Observation is the job's own observing.
	Observation Attempts
	// Transmission is the handing of reports to the relayer.
	Transmission Attempts
	// Delay is how long after libocr asked for the observation of its round the newest report was handed to the relayer;
	// 0: this node has handed over none of a round that it observed.
	Delay time.Duration
}

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

func (a *Attempts) note(now time.Time, err error) {
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

// Members is what a configuration says of this node.
type Members struct {
	// Oracles and Faulty are the configuration's n and f.
	Oracles, Faulty int
	// Signer is whether one of the oracles has the job's on-chain key, and Index which.
	Signer bool
	Index  int
	// Account is that oracle's transmitter, and Own the job's.
	Account, Own string
}

// Recorder gathers a feed's facts. Its methods may be called at once, and cost little.
type Recorder struct {
	mu    sync.Mutex
	facts Facts
	runs  Attempts // of the job's pipelines, since libocr last asked for an observation
	begun [rememberedRounds]begun
	next  int // in begun
}

// New returns a recorder of a feed of which nothing is known.
func New(bootstrap bool) *Recorder {
	return &Recorder{facts: Facts{Bootstrap: bootstrap, Absent: map[string]string{}, Heard: map[int]time.Time{}}}
}

// Facts are what is known now.
func (r *Recorder) Facts() Facts {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.facts
	f.Absent, f.Heard = maps.Clone(r.facts.Absent), maps.Clone(r.facts.Heard)
	if f.Members != nil {
		members := *f.Members
		f.Members = &members
	}
	return f
}

func (r *Recorder) change(change func(f *Facts, now time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.facts, time.Now())
}

// Failed says why the job cannot do what it should; empty: it can again.
func (r *Recorder) Failed(reason string) {
	r.change(func(f *Facts, _ time.Time) { f.Failure = reason })
}

// Waits says that the job cannot begin without something, and why it is not there; empty: it is.
func (r *Recorder) Waits(what, why string) {
	r.change(func(f *Facts, _ time.Time) {
		if f.Absent[what] = why; why == "" {
			delete(f.Absent, what)
		}
	})
}

// ConfigRead is called with each reading of where the contract's configuration is. The digest is empty of a contract
// that has none.
func (r *Recorder) ConfigRead(digest string, err error) {
	r.change(func(f *Facts, now time.Time) {
		if f.Config.note(now, err); err == nil && f.Digest != digest {
			f.Digest, f.Members = digest, nil
		}
	})
}

// Configured is called with each configuration that was read.
func (r *Recorder) Configured(m Members) {
	r.change(func(f *Facts, _ time.Time) { f.Members = &m })
}

// Runs is called when libocr begins to run a configuration.
func (r *Recorder) Runs(digest string, interval time.Duration) {
	r.change(func(f *Facts, now time.Time) { f.Running, f.Begun, f.Interval = digest, now, interval })
}

// Meets is called with the number of the oracles of a configuration and this node's among them, before the first
// message of another.
func (r *Recorder) Meets(oracles, own int) {
	r.change(func(f *Facts, _ time.Time) {
		clear(f.Heard)
		for oracle := range oracles {
			if oracle != own {
				f.Heard[oracle] = time.Time{}
			}
		}
	})
}

// Hears is called with each message of another oracle.
func (r *Recorder) Hears(oracle int) {
	r.change(func(f *Facts, now time.Time) {
		if _, known := f.Heard[oracle]; known {
			f.Heard[oracle] = now
		}
	})
}

// Asked is called when libocr asks for an observation.
func (r *Recorder) Asked() {
	r.change(func(f *Facts, now time.Time) { f.Round, r.runs = now, Attempts{} })
}

// Ran is called with the outcome of each run of a pipeline that a product asked for.
func (r *Recorder) Ran(err error) {
	r.change(func(_ *Facts, now time.Time) {
		if r.runs.Good.IsZero() { // one that goes well is enough for an observation
			r.runs.note(now, err)
		}
	})
}

// Observed is called with the outcome of an observation. A product whose pipelines fail observes nothing, and may
// answer all the same, to keep its part in the votes.
func (r *Recorder) Observed(err error) {
	r.change(func(f *Facts, now time.Time) {
		if err == nil && r.runs.Fault != "" {
			err = errors.New(r.runs.Fault)
		}
		f.Observation.note(now, err)
	})
}

// Handed is called with the outcome of handing a report to the relayer.
func (r *Recorder) Handed(err error) {
	r.change(func(f *Facts, now time.Time) { f.Transmission.note(now, err) })
}
