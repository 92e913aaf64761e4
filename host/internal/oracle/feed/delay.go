package feed

import (
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// rememberedRounds is how many rounds a recorder knows the beginning of: a report is transmitted within its round's own
// time and that of the stages before this node's turn.
const rememberedRounds = 32

// begun is when a round began at this node.
type begun struct {
	epoch uint32
	round uint8
	at    time.Time
}

// Begins is called when libocr asks for the observation of a round.
func (r *Recorder) Begins(epoch uint32, round uint8) {
	r.change(func(_ *health.Feed, now time.Time) {
		r.begun[r.next] = begun{epoch, round, now}
		r.next = (r.next + 1) % rememberedRounds
	})
}

// Ends is called when the relayer has accepted the report of a round. Another configuration counts its rounds from the
// beginning, so the newest round with the number is meant.
func (r *Recorder) Ends(epoch uint32, round uint8) {
	r.change(func(f *health.Feed, now time.Time) {
		r.landing.hands(handed{epoch, round, now})
		var at time.Time
		for _, b := range r.begun {
			if b.epoch == epoch && b.round == round && b.at.After(at) {
				at = b.at
			}
		}
		if !at.IsZero() {
			f.Delay = now.Sub(at)
		}
	})
}
