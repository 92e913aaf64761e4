package feed

import (
	"cmp"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// askAgain is after how long a contract is asked again although this node knows of no report under way: it may not hear
// the others, or may have missed a round.
const askAgain = 30 * time.Second

// handed is a report that this node has handed to the relayer, or may hand to it, and when it was; zero: there is none.
type handed struct {
	epoch uint32
	round uint8
	at    time.Time
}

// passed tells whether the contract has taken this report or a newer one, once it has taken a round.
func (h handed) passed(epoch uint32, round uint8) bool {
	return cmp.Or(cmp.Compare(h.epoch, epoch), cmp.Compare(h.round, round)) <= 0
}

// landing knows which of the reports handed over the contract has neither taken nor overtaken by a newer one. It keeps
// the oldest and the newest of these: those between them do not matter once the contract has a newer one.
type landing struct {
	told           time.Time // when the contract last told what it has taken; zero: never
	oldest, newest handed
	made           handed // the newest report that any node may hand over, until the contract has passed it
}

func (l *landing) hands(h handed) {
	if l.oldest.at.IsZero() {
		l.oldest = h
	}
	l.newest = h
}

// takes is called with the newest round that the contract has taken.
func (l *landing) takes(epoch uint32, round uint8, now time.Time) {
	l.told = now
	if l.made.passed(epoch, round) {
		l.made = handed{}
	}
	switch {
	case l.oldest.at.IsZero() || !l.oldest.passed(epoch, round):
	case l.newest.passed(epoch, round):
		l.oldest, l.newest = handed{}, handed{}
	default:
		l.oldest = l.newest
	}
}

// since is when the oldest was handed over; zero: there is none, or it is not known.
func (l *landing) since() time.Time {
	if l.told.IsZero() {
		return time.Time{}
	}
	return l.oldest.at
}

// Reports is called with each round that has a report. All nodes make it, and some hand it over.
func (r *Recorder) Reports(epoch uint32, round uint8) {
	r.change(func(_ *health.Feed, now time.Time) { r.landing.made = handed{epoch, round, now} })
}

// Awaits reports whether it is time to ask what the contract has accepted. Between its reports a feed rests, and a
// thousand feeds need not be asked what none can have changed.
func (r *Recorder) Awaits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &r.landing
	return !l.made.at.IsZero() || !l.oldest.at.IsZero() || time.Since(l.told) >= askAgain
}

// Landed is called with the newest round that the contract has accepted under the running configuration; zero if there
// is none.
func (r *Recorder) Landed(epoch uint32, round uint8) {
	r.change(func(_ *health.Feed, now time.Time) { r.landing.takes(epoch, round, now) })
}
