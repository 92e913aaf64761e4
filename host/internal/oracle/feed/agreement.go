package feed

import (
	"fmt"
	"math/big"
	"time"

	"github.com/loop-plugins/loop/host/internal/health"
)

// tolerance is how far an observation may be from the contract's answer, as a part of the answer. Few feeds have a
// contract that waits for larger changes of the price.
const tolerance = 0.05

// Compared is called with what this node observed in the newest round, and with the contract's answer.
func (r *Recorder) Compared(own, answer *big.Int) {
	r.change(func(f *health.Feed, now time.Time) { f.Agreement.Note(now, apart(own, answer)) })
}

// apart says how far an observation is from an answer, if that is too far.
func apart(own, answer *big.Int) error {
	if answer.Sign() == 0 {
		return nil // no part of nothing is known
	}
	difference := new(big.Int).Sub(own, answer)
	part, _ := new(big.Rat).SetFrac(difference.Abs(difference), new(big.Int).Abs(answer)).Float64()
	if part <= tolerance {
		return nil
	}
	where := "above"
	if own.Cmp(answer) < 0 {
		where = "below"
	}
	return fmt.Errorf("%s is %.1f %% %s %s", own, 100*part, where, answer)
}
