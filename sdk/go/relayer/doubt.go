package relayer

import (
	"sync"
	"time"
)

// doubtful is how long a report under a configuration that its contract does not show is kept on chains that make no block: a node
// that was behind has caught up by then, or another has taken its place.
const doubtful = time.Minute

// Doubts are about reports under a configuration that their contract does not show. Either the contract has got a newer one since,
// and they are stale, or the RPC node has not seen theirs yet, as one that lags or has just started: then to drop them would lose
// them. Whoever made such a report has seen its configuration, so that a block which is newer than the doubt shows it, or will
// never. The zero value is ready.
type Doubts struct {
	mu    sync.Mutex
	since map[subject]time.Time
}

// subject is what a doubt is about.
type subject struct {
	contract string
	digest   [32]byte
}

// Weigh takes all items of a survey, whether each is foreign, that is, under another configuration than its contract shows, and
// the time of the block at which that was read. It returns which of the foreign ones may not be called stale yet.
func (d *Doubts) Weigh(items []Item, foreign []bool, block time.Time) (wait []bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = make([]bool, len(items))
	since := map[subject]time.Time{}
	for i, item := range items {
		if !foreign[i] {
			continue
		}
		s := subject{item.Contract, item.Digest}
		arose, known := d.since[s]
		if !known {
			arose = time.Now()
		}
		since[s] = arose
		wait[i] = !block.After(arose) && time.Since(arose) < doubtful
	}
	d.since = since
	return wait
}
