package evm

import (
	"time"

	"github.com/loop-plugins/loop/plugins/evm/endpoint"
)

const (
	// overlapTime is for how long a node may lack events of blocks that others have: longer than load balancers keep one
	// behind one address that lags.
	overlapTime = 30 * time.Second
	// wholeEvery is how often all of that is read again. In between, only leastOverlap blocks are: on a chain with a block
	// a second or faster, reading all at each block was most of what a relayer did.
	wholeEvery = 5 * time.Second
	// leastOverlap and mostOverlap bound overlapTime in blocks. Reorganisations are counted in blocks, whatever one lasts.
	leastOverlap, mostOverlap = 10, 200
	// measured is over how much of the chain's time the length of blocks is measured, whose times are whole seconds.
	measured = 10 * time.Second
)

// overlap is how many blocks are read again, because a reorganisation may have put other events there, or a node may
// not have had all of them yet.
type overlap struct {
	wanted uint64
	since  endpoint.Head // where the measure began
	span   uint64        // how many blocks a server allowed in one call that had more asked of it; 0: none has refused any
	whole  time.Time     // when all of it was read last
}

// again is how many blocks are read again now, and whether these are all.
func (o *overlap) again(now time.Time) (blocks uint64, whole bool) {
	all := o.blocks()
	if all <= leastOverlap || now.Sub(o.whole) >= wholeEvery {
		return all, true
	}
	return leastOverlap, false
}

// blocks is how many blocks are all. More than one call reads would keep the turn from new ones.
func (o *overlap) blocks() uint64 {
	blocks := o.wanted
	if o.span > 0 {
		blocks = min(blocks, o.span-1)
	}
	return max(leastOverlap, blocks)
}

// measure takes the time of a newer block.
func (o *overlap) measure(head endpoint.Head) {
	switch took := head.Time.Sub(o.since.Time); {
	case o.since.Number == 0, head.Number < o.since.Number, took < 0:
		o.since = head
	case took >= measured:
		blocks := float64(head.Number-o.since.Number)*overlapTime.Seconds()/took.Seconds() + 1
		o.wanted, o.since = uint64(min(blocks, mostOverlap)), head
	}
}

// answered takes what a call read of the blocks that were asked of it.
func (o *overlap) answered(asked, read uint64) {
	switch {
	case read < asked:
		o.span = read
	case read > o.span:
		o.span = 0 // it was another server's
	}
}
