package frames

import (
	"sync"
	"time"
)

// longTurn is how long a reader may serve a call itself before another goroutine reads on: it is found out between one
// and two of them.
const longTurn = 2 * time.Millisecond

// relief watches over a reader that serves calls itself. It ticks while there are such calls, and not for each of them.
type relief struct {
	take func() // reads on; called with the lock held

	mu      sync.Mutex
	timer   *time.Timer
	ticking bool
	serving bool
	turn    uint64 // counts the calls
	seen    uint64 // the turn at the last tick
}

func newRelief(take func()) *relief {
	r := &relief{take: take}
	r.timer = time.AfterFunc(time.Hour, r.tick)
	r.timer.Stop()
	return r
}

// begin is called before a call is served.
func (r *relief) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serving = true
	r.turn++
	if !r.ticking {
		r.ticking, r.seen = true, 0
		r.timer.Reset(longTurn)
	}
}

// end is called after it, and reports whether the caller still is the one that reads.
func (r *relief) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	still := r.serving
	r.serving = false
	return still
}

func (r *relief) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := r.turn == r.seen
	if same && r.serving {
		r.serving = false
		r.take()
	}
	if same {
		r.ticking = false
		return
	}
	r.seen = r.turn
	r.timer.Reset(longTurn)
}
