package hostservice

import "sync"

// Rounds are those of one job in which libocr waits for an observation. A plugin that asks for the observation of any
// other would have sources asked as often as it likes, and adapters count what they are asked. A nil one holds nobody
// to anything.
type Rounds struct {
	mu      sync.Mutex
	running map[Round]int
}

// NewRounds has none that runs.
func NewRounds() *Rounds { return &Rounds{running: map[Round]int{}} }

// Begin has a round run until end is called.
func (r *Rounds) Begin(round Round) (end func()) {
	if r == nil {
		return func() {}
	}
	r.count(round, 1)
	return func() { r.count(round, -1) }
}

func (r *Rounds) count(round Round, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[round] += by; r.running[round] == 0 {
		delete(r.running, round)
	}
}

func (r *Rounds) run(round Round) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[round] > 0
}
