package relayer

import (
	"fmt"
	"sync"
	"time"
)

// doubtful is how long a report under a configuration that its contract does not show is kept on chains that make no
// block: a node that was behind has caught up by then, or another has taken its place.
const doubtful = time.Minute

// Doubts decide about reports under a configuration that their contract does not show. Either the contract has a newer
// one by now, and they are stale; or the RPC node has not seen their configuration yet, because it lags or has just
// started, and dropping them would lose them. The oracles that made such a report have seen its configuration. So a
// block that is newer than the doubt shows it, or no block ever will. The zero value is ready.
type Doubts struct {
	mu    sync.Mutex
	since map[subject]time.Time
}

// subject is what a doubt is about.
type subject struct {
	contract string
	digest   [32]byte
}

// Standing is the part of a contract's state that decides which reports it still accepts.
type Standing struct {
	// Config is the digest of the contract's configuration.
	Config [32]byte
	// Digest, Epoch and Round identify the newest transmission.
	Digest [32]byte
	Epoch  uint32
	Round  uint8
}

// Verdicts checks all items of a survey against their contracts. An item waits if its contract gave no Standing, which
// is nil then. block is the time of the block at which the contracts were asked, and behind reports that a newer block
// was known before.
func (d *Doubts) Verdicts(items []Item, of func(contract string) *Standing, block time.Time, behind bool) []Verdict {
	verdicts := make([]Verdict, len(items))
	foreign := make([]bool, len(items))
	for i, item := range items {
		switch held := of(item.Contract); {
		case held == nil:
			verdicts[i].Wait = true
		case held.Config != item.Digest:
			verdicts[i].Stale, foreign[i] = "the contract has another configuration", true
		case held.Digest == item.Digest && (held.Epoch > item.Epoch || held.Epoch == item.Epoch && held.Round >= item.Round):
			verdicts[i].Stale = fmt.Sprintf("the contract has a transmission of epoch %d round %d", held.Epoch, held.Round)
		}
	}
	for i, wait := range d.weigh(items, foreign, block) {
		// A contract that is not seen at the newest block may not know the report's configuration either.
		if wait || foreign[i] && behind {
			verdicts[i] = Verdict{Wait: true}
		}
	}
	return verdicts
}

// weigh takes all items of a survey, whether each is foreign, that is, under another configuration than its contract
// shows, and the time of the block at which that was read. It returns which of the foreign ones may not be called stale
// yet.
func (d *Doubts) weigh(items []Item, foreign []bool, block time.Time) (wait []bool) {
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
