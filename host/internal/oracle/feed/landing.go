package feed

import (
	"cmp"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// handed is a report that this node has handed to the relayer.
type handed struct {
	epoch uint32
	round uint8
	at    time.Time
}

// landing knows which of the reports handed over the contract has neither taken nor passed by. Of those it keeps the
// oldest and the newest: what is between them becomes of no concern when the contract passes it.
type landing struct {
	read           bool // what the contract has taken is known
	oldest, newest handed
}

func (l *landing) hands(h handed) {
	if l.oldest.at.IsZero() {
		l.oldest = h
	}
	l.newest = h
}

// takes is called with the newest round that the contract has taken.
func (l *landing) takes(epoch uint32, round uint8) {
	l.read = true
	past := func(h handed) bool { return cmp.Or(cmp.Compare(h.epoch, epoch), cmp.Compare(h.round, round)) <= 0 }
	switch {
	case l.oldest.at.IsZero() || !past(l.oldest):
	case past(l.newest):
		l.oldest, l.newest = handed{}, handed{}
	default:
		l.oldest = l.newest
	}
}

// since is when the oldest was handed over; zero: there is none, or it is not known.
func (l *landing) since() time.Time {
	if !l.read {
		return time.Time{}
	}
	return l.oldest.at
}

// Landed is called with the newest round that the contract has accepted under the running configuration; zero if there
// is none.
func (r *Recorder) Landed(epoch uint32, round uint8) {
	r.change(func(*health.Feed, time.Time) { r.landing.takes(epoch, round) })
}
