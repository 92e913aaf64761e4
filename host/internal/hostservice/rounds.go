package hostservice

import "sync"

// Rounds are the rounds of one job in which libocr waits for an observation. A plugin that could observe at any other
// time would have the sources asked as often as it likes, and adapters count requests. A nil Rounds allows every
// observation.
type Rounds struct {
	mu      sync.Mutex
	running map[Round]int
}

// NewRounds returns Rounds of which none runs.
func NewRounds() *Rounds { return &Rounds{running: map[Round]int{}} }

// Begin marks a round as running until end is called.
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
