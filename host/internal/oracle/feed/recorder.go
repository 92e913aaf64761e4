// Package feed gathers facts about the work of an OCR job, where it happens. Package health decides what they mean for
// people.
//
// It must not know plugins, contracts or how anything is shown.
package feed

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// Recorder gathers a feed's facts. Its methods may be called concurrently, and are cheap.
type Recorder struct {
	mu    sync.Mutex
	facts health.Feed
	runs  health.Attempts // of the job's pipelines, since libocr last asked for an observation
	begun [rememberedRounds]begun
	next  int // in begun

	landing landing
}

// New returns a recorder of a feed without any facts.
func New(bootstrap bool) *Recorder {
	return &Recorder{facts: health.Feed{Bootstrap: bootstrap, Absent: map[string]string{}, Heard: map[int]time.Time{}}}
}

// Facts returns the current facts.
func (r *Recorder) Facts() health.Feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.facts
	f.Unlanded = r.landing.since()
	f.Absent, f.Heard = maps.Clone(r.facts.Absent), maps.Clone(r.facts.Heard)
	if f.Members != nil {
		members := *f.Members
		f.Members = &members
	}
	return f
}

func (r *Recorder) change(change func(f *health.Feed, now time.Time)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.facts, time.Now())
}

// Failed says why the job does not work; empty if it works again.
func (r *Recorder) Failed(reason string) {
	r.change(func(f *health.Feed, _ time.Time) { f.Failure = reason })
}

// Waits says that the job cannot begin without something, and why that is missing; empty if it is there.
func (r *Recorder) Waits(what, why string) {
	r.change(func(f *health.Feed, _ time.Time) {
		if f.Absent[what] = why; why == "" {
			delete(f.Absent, what)
		}
	})
}

// ConfigRead is called with each read of where the contract's configuration is. The digest is empty if the contract has
// none.
func (r *Recorder) ConfigRead(digest string, err error) {
	r.change(func(f *health.Feed, now time.Time) {
		if f.Config.Note(now, err); err == nil && f.Digest != digest {
			f.Digest, f.Members, f.Ready = digest, nil, time.Time{}
		}
	})
}

// Confirmed is called with a configuration that was read whenever the chain is found to have confirmed it.
func (r *Recorder) Confirmed(digest string) {
	r.change(func(f *health.Feed, now time.Time) {
		if f.Digest == digest && f.Ready.IsZero() {
			f.Ready = now
		}
	})
}

// Configured is called with each configuration that was read.
func (r *Recorder) Configured(m health.Members) {
	r.change(func(f *health.Feed, _ time.Time) { f.Members = &m })
}

// Runs is called when libocr begins to run a configuration.
func (r *Recorder) Runs(digest string, interval time.Duration) {
	r.change(func(f *health.Feed, now time.Time) {
		f.Running, f.Begun, f.Interval = digest, now, interval
		// A quiet feed may make its first report in an hour, and what failed until now may have been the configuration.
		f.Outcome, f.Report, f.Signature = health.Attempts{}, health.Attempts{}, health.Attempts{}
		r.landing = landing{} // what was of the one before it lands no more
	})
}

// Meets is called with the number of the oracles of a configuration and the index of this node, before the first
// message of another.
func (r *Recorder) Meets(oracles, own int) {
	r.change(func(f *health.Feed, _ time.Time) {
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
	r.change(func(f *health.Feed, now time.Time) {
		if _, known := f.Heard[oracle]; known {
			f.Heard[oracle] = now
		}
	})
}

// Asked is called when libocr asks for an observation.
func (r *Recorder) Asked() {
	r.change(func(f *health.Feed, now time.Time) { f.Round, r.runs = now, health.Attempts{} })
}

// Ran is called with the outcome of each run of a pipeline that a product asked for.
func (r *Recorder) Ran(err error) {
	r.change(func(_ *health.Feed, now time.Time) {
		if r.runs.Good.IsZero() { // one that goes well is enough for an observation
			r.runs.Note(now, err)
		}
	})
}

// Observed is called with the outcome of an observation. If a product's pipelines fail, it observes nothing, but may
// answer anyway, to keep its votes.
func (r *Recorder) Observed(err error) {
	r.change(func(f *health.Feed, now time.Time) {
		if err == nil && r.runs.Fault != "" {
			err = errors.New(r.runs.Fault)
		}
		f.Observation.Note(now, err)
	})
}

// Voted is called with the outcome of each call by which OCR3 has this node compute what the network agrees on.
func (r *Recorder) Voted(err error) {
	r.change(func(f *health.Feed, now time.Time) { f.Outcome.Note(now, err) })
}

// Made is called with the outcome of each call by which libocr asks the product for a report. That no report is due is
// no error.
func (r *Recorder) Made(err error) {
	r.change(func(f *health.Feed, now time.Time) { f.Report.Note(now, err) })
}

// Signed is called with the outcome of signing each report.
func (r *Recorder) Signed(err error) {
	r.change(func(f *health.Feed, now time.Time) { f.Signature.Note(now, err) })
}

// Compares is called with how far this node's clock is ahead of most other oracles'.
func (r *Recorder) Compares(ahead time.Duration) {
	r.change(func(f *health.Feed, now time.Time) {
		var err error
		if ahead.Abs() > health.ClocksApart {
			err = errors.New(health.Apart(ahead))
		}
		f.Ahead, f.Compared = ahead, now
		f.Clock.Note(now, err)
	})
}

// Handed is called with the outcome of handing a report to the relayer.
func (r *Recorder) Handed(err error) {
	r.change(func(f *health.Feed, now time.Time) { f.Transmission.Note(now, err) })
}
