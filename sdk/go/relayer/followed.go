package relayer

import (
	"maps"
	"slices"
	"sync"
)

// Followed is the set of contracts or accounts whose events all nodes of a chain push. Each is counted as often as it
// was added. The zero value is ready.
type Followed[K comparable] struct {
	mu      sync.Mutex
	counts  map[K]int
	changed chan struct{}
}

// Add counts a key once more.
func (f *Followed[K]) Add(key K) { f.change(key, 1) }

// Remove counts a key once less.
func (f *Followed[K]) Remove(key K) { f.change(key, -1) }

func (f *Followed[K]) change(key K, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[K]int{}
	}
	before := len(f.counts)
	if f.counts[key] += by; f.counts[key] <= 0 {
		delete(f.counts, key)
	}
	if len(f.counts) != before && f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// All returns the keys, in no order, and a channel that is closed when they change.
func (f *Followed[K]) All() ([]K, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return slices.Collect(maps.Keys(f.counts)), f.changed
}
