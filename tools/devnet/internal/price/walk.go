package price

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// unit is 10^-8 of the currency, the resolution of prices here and of the feed's answers.
	unit = 100_000_000
	// first is the price at the start.
	first = 2000 * unit
	// lowest keeps a long walk above zero.
	lowest = unit

	// step is how often the price moves; as often as a network makes rounds.
	step = 500 * time.Millisecond
	// stride is the most that one step moves the price, in millionths.
	stride = 2000
	// noise is the most by which a node sees it elsewhere, in millionths.
	noise = 300
)

// walk is a random walk in time. The price at a step, and what a node sees of it, depend on the seed alone.
type walk struct {
	seed  uint64
	now   func() time.Time
	start time.Time

	mu    sync.Mutex
	steps *rand.Rand
	at    int64 // steps taken
	value int64 // price after them, in units
}

func newWalk(seed uint64, now func() time.Time) *walk {
	return &walk{seed: seed, now: now, start: now(), steps: rand.New(rand.NewPCG(seed, 0)), value: first}
}

// price is what a node sees now, as a decimal number.
func (w *walk) price(node string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for due := int64(w.now().Sub(w.start) / step); w.at < due; w.at++ {
		w.value = max(lowest, moved(w.value, w.steps, stride))
	}
	name := fnv.New64a()
	name.Write([]byte(node))
	// A generator for each node and step: a node that asks twice within a step gets one answer.
	seen := moved(w.value, rand.New(rand.NewPCG(w.seed^name.Sum64(), uint64(w.at))), noise)
	return fmt.Sprintf("%d.%08d", seen/unit, seen%unit)
}

// moved changes a value by up to so many millionths either way, and then by up to 99 units upwards: two steps hardly
// ever end alike, so that a feed has a change to report.
func moved(value int64, random *rand.Rand, millionths int64) int64 {
	return value + value/1_000_000*(random.Int64N(2*millionths+1)-millionths) + random.Int64N(100)
}
