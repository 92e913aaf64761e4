package process

import (
	"slices"
	"sync"
	"time"
)

// Step is a part of a start, and what it took.
type Step struct {
	What string
	Took time.Duration
}

// Trace is what a start was made of, step by step.
type Trace struct {
	mu    sync.Mutex
	last  time.Time
	steps []Step
}

// NewTrace begins with the first step.
func NewTrace() *Trace { return &Trace{last: time.Now()} }

// Done notes that a step has ended, and the next one begins.
func (t *Trace) Done(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.steps = append(t.steps, Step{what, now.Sub(t.last)})
	t.last = now
}

// Steps are those that have ended, in their order.
func (t *Trace) Steps() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.steps)
}
