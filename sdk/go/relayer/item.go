package relayer

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

type queued struct {
	entry[itemRecord]
	item Item
	// mined is whether a transaction of it is in a block; guarded by Queue.mu.
	mined bool
	// rests is until when an item that the chain refused is not sent, and pause how long that is; both guarded by
	// Queue.stepping.
	rests time.Time
	pause time.Duration
}

func (item *queued) resting() bool { return time.Now().Before(item.rests) }

// rest delays an item that the chain has refused, or that the node has refused to sign.
func (q *Queue) rest(item *queued, why error) {
	item.pause = min(max(2*item.pause, firstPause), longestPause)
	item.rests = time.Now().Add(item.pause)
	q.settings.Logger.Warn("a report was refused; it is sent again later unless it is stale by then",
		"account", q.settings.Account, "contract", item.item.Contract, "epoch", item.item.Epoch, "round", item.item.Round,
		"pause", item.pause, "reason", why)
}

// drop forgets items that are stale and hold no number, and those done that the chain now shows.
func (q *Queue) drop(ctx context.Context, items []*queued, verdicts map[string]Verdict,
	flying map[string]*flight) error {
	for _, item := range items {
		verdict := verdicts[item.key]
		if verdict.Stale == "" || flying[item.key] != nil {
			continue
		}
		q.mu.Lock()
		current, known := q.items[item.key]
		q.mu.Unlock()
		if !known { // settled in this step
			continue
		}
		if err := q.forget(ctx, current); err != nil {
			return err
		}
		if !current.record.Done {
			q.ended(current.item, stale, verdict.Stale, "")
		}
	}
	return nil
}

// candidates are the items to send now, first accepted first: of each contract and digest the newest that does not
// rest, if it is newer than all that fly. An older one waits until the newest makes it stale, or reverts.
func (q *Queue) candidates(items []*queued, verdicts map[string]Verdict, flying map[string]*flight) []*queued {
	type feed struct {
		contract string
		digest   [32]byte
	}
	newest := map[feed]*queued{}
	for _, item := range items {
		q.mu.Lock()
		current, known := q.items[item.key]
		q.mu.Unlock()
		if !known || current.record.Done || item.resting() {
			continue
		}
		of := feed{item.item.Contract, item.item.Digest}
		if best, ok := newest[of]; !ok || age(best.item, item.item) < 0 {
			newest[of] = item
		}
	}
	var chosen []*queued
	for _, item := range newest {
		if flying[item.key] == nil && verdicts[item.key] == (Verdict{}) {
			chosen = append(chosen, item)
		}
	}
	slices.SortFunc(chosen, func(a, b *queued) int {
		return cmp.Or(a.record.Accepted.Compare(b.record.Accepted), strings.Compare(a.key, b.key))
	})
	return chosen
}

// age compares items of one contract and digest: negative if a is older.
func age(a, b Item) int { return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Round, b.Round)) }

func (q *Queue) forget(ctx context.Context, item *queued) error {
	if err := q.shelf.remove(ctx, item.key, item.version); err != nil {
		q.doubt()
		return err
	}
	q.mu.Lock()
	delete(q.items, item.key)
	q.mu.Unlock()
	return nil
}

// How an item ended.
const (
	transmitted = "transmitted"
	reverted    = "reverted"
	stale       = "stale"
)

func (q *Queue) ended(item Item, ending, why, hash string) {
	level := slog.LevelInfo
	if ending == transmitted { // the node has said that it handed the report over
		level = slog.LevelDebug
	}
	q.settings.Logger.Log(context.Background(), level, "a transmission ended", "ending", ending, "contract", item.Contract,
		"epoch", item.Epoch, "round", item.Round, "hash", hash, "reason", why)
	if q.settings.Settled != nil {
		q.settings.Settled(item, ending)
	}
}

func (q *Queue) snapshot() []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := make([]*queued, 0, len(q.items))
	for _, item := range q.items {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b *queued) int { return strings.Compare(a.key, b.key) })
	return items
}

// mergeItems prefers what the Store said, and keeps what it does not hold: until when items rest, and what an Add
// stored while it was being listed.
func mergeItems(memory map[string]*queued, stored []*queued) map[string]*queued {
	merged := make(map[string]*queued, len(stored))
	for _, item := range stored {
		if known := memory[item.key]; known != nil {
			item.rests, item.pause = known.rests, known.pause
		}
		merged[item.key] = item
	}
	for key, item := range memory {
		if _, ok := merged[key]; !ok && item.version == 1 && !item.record.Done {
			merged[key] = item
		}
	}
	return merged
}
