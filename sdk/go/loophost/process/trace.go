package process

import (
	"slices"
	"sync"
	"time"
)

// Step is a part of a start, with its duration.
type Step struct {
	What string
	Took time.Duration
}

// Trace records the steps of a start.
type Trace struct {
	mu    sync.Mutex
	last  time.Time
	steps []Step
}

// NewTrace begins with the first step.
func NewTrace() *Trace { return &Trace{last: time.Now()} }

// Done records that a step has ended and the next one begins.
func (t *Trace) Done(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.steps = append(t.steps, Step{what, now.Sub(t.last)})
	t.last = now
}

// Steps returns the steps that have ended, in order.
func (t *Trace) Steps() []Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.steps)
}
