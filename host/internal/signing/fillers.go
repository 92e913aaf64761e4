package signing

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// fillersPerMinute is how many sequence numbers of an account may be filled a minute, and fillersAtOnce how many at
	// once: a relayer fills those of reports that wait for long, and has some tens under way.
	fillersPerMinute = 10
	fillersAtOnce    = 100
	// keptSlots is how many filled numbers are remembered: if one of them is filled again, for a higher fee, that does not
	// count again.
	keptSlots = 256
)

// fillers bound the cost of an account's fillers, from which only miners gain.
type fillers struct {
	mu       sync.Mutex
	accounts map[string]*filled
}

type filled struct {
	limiter *rate.Limiter
	slots   []string // oldest first
}

// admit decides on a filler.
func (f *fillers) admit(account, slot string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.accounts[account]
	if of == nil {
		of = &filled{limiter: rate.NewLimiter(rate.Every(time.Minute/fillersPerMinute), fillersAtOnce)}
		f.accounts[account] = of
	}
	for _, known := range of.slots {
		if known == slot {
			return nil
		}
	}
	if !of.limiter.Allow() {
		return fmt.Errorf("it has no effect but to take a sequence number, and the account has filled the %d that it may at "+
			"once, and %d a minute", fillersAtOnce, fillersPerMinute)
	}
	of.slots = append(of.slots[max(0, len(of.slots)-keptSlots+1):], slot)
	return nil
}
