package doctor

import (
	"fmt"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

const (
	// fullDisk is the free space below which the database, which writes its log beside its file, soon cannot be written.
	fullDisk = 64 << 20
	// lowDisk is what a node with a thousand feeds writes in some days.
	lowDisk = 1 << 30

	// chainAhead is how far a block may be ahead of this clock: proposers of blocks may be some seconds off.
	chainAhead = 15 * time.Second
	// chainBehind is longer than any chain takes for a block, and longer than the time after which an RPC node without a
	// new block is asked last.
	chainBehind = 5 * time.Minute
)

// Volume is the space on a disk where the node keeps something, in bytes.
type Volume struct {
	// What lies there, such as "the database".
	What, Path  string
	Free, Total uint64
}

// OfVolume checks the space on a disk.
func OfVolume(v Volume) *nodev1.Finding {
	text := fmt.Sprintf("%s of %s are free for %s at %s", size(v.Free), size(v.Total), v.What, v.Path)
	switch {
	case v.Free < fullDisk:
		return Failed(Disk, v.What, text+", so that writing fails now or soon", "make room on that disk")
	case v.Free < lowDisk:
		return Warning(Disk, v.What, text, "make room on that disk before it is full")
	}
	return Good(Disk, v.What, text)
}

func size(bytes uint64) string {
	if bytes >= 10<<30 {
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// OfHead compares this machine's clock with a chain's newest block.
func OfHead(chain string, head, now time.Time) *nodev1.Finding {
	age := now.Sub(head).Round(time.Second)
	switch {
	case -age > chainAhead:
		return Warning(Clock, chain, fmt.Sprintf("the newest block is %s ahead of this machine's clock", -age),
			health.KeepClock)
	case age > chainBehind:
		return Warning(Clock, chain, fmt.Sprintf("the newest block is %s old by this machine's clock", age),
			"see that the chain makes blocks and its RPC nodes follow it; if they do, "+health.KeepClock)
	}
	return Good(Clock, chain, fmt.Sprintf("the newest block is %s old by this machine's clock", max(0, age)))
}
