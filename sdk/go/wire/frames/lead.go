package frames

import (
	"errors"
	"os"
	"time"
)

// A connection's answers are read by whoever leads: by a goroutine of the connection's own, or, where calls come one at
// a time, by the caller itself, which then needs no wake-up.
const (
	// alone is how many calls in a row must have had the connection to themselves before the next one leads.
	alone = 8
	// leadEvery is the interval of checks for a caller that leads for long, or for none that leads. A leading caller sees
	// the end of its context after one or two of them; a shorter tick would cost more than it saves.
	leadEvery = longTurn
)

// lead says who reads. The connection's lock guards it.
type lead struct {
	taken  bool  // somebody leads
	caller *call // the caller who leads; nil: the goroutine does, or nobody
	kicked bool  // it was told to let go
	row    int   // calls in a row that were alone
	turn   uint64
	seen   uint64 // turn at the last look
	timer  *time.Timer
	set    bool          // the timer is
	own    chan struct{} // gives the lead to the goroutine
}

// longAgo ends a read that is waiting.
var longAgo = time.Unix(1, 0)

// tryLeadLocked lets the caller of a call that was just begun lead, and reports whether it may.
func (c *Conn) tryLeadLocked(k *call) bool {
	l := &c.lead
	if len(c.calls) > 1 {
		l.row = 0
	} else {
		l.row++
	}
	if l.taken || l.row < alone {
		return false
	}
	l.taken, l.caller = true, k
	l.turn++
	c.lookLaterLocked()
	return true
}

// lookLaterLocked has the lead looked at in a while.
func (c *Conn) lookLaterLocked() {
	if l := &c.lead; !l.set && c.err == nil {
		l.set, l.seen = true, 0
		l.timer.Reset(leadEvery)
	}
}

// look takes the lead from a caller who has had it for long, and gives it to the goroutine if nobody has it: else
// nobody would see the connection's end.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lead
	l.set = false
	switch {
	case c.err != nil:
	case l.turn != l.seen:
		c.lookLaterLocked()
		l.seen = l.turn
	case l.caller != nil:
		c.kickLocked()
	case !l.taken:
		l.taken = true
		l.own <- struct{}{} // never waits: nobody else leads
	}
}

// kickLocked has the caller who leads let go.
func (c *Conn) kickLocked() {
	if !c.lead.kicked {
		c.lead.kicked = true
		_ = c.nc.SetReadDeadline(longAgo) // fails where the read has failed already
	}
}

// readFor reads answers until the reader's own call k has ended or the lead is taken from it, and lets go of the lead.
func (c *Conn) readFor(k *call) {
	var err error
	for err == nil && len(k.done) == 0 {
		err = c.readOne()
	}
	c.mu.Lock()
	l := &c.lead
	if l.caller = nil; l.kicked {
		l.kicked = false
		_ = c.nc.SetReadDeadline(time.Time{}) // as above
	}
	failed := err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case failed:
	case len(c.calls) > 0:
		l.own <- struct{}{} // never waits, as in look
	default:
		l.taken = false
		c.lookLaterLocked() // a look that came just now has set no other
	}
	c.mu.Unlock()
	if failed {
		c.end(err)
	}
}

// readOne takes one frame.
func (c *Conn) readOne() error {
	f, err := c.in.next()
	if err == nil {
		err = c.take(&f)
	}
	return err
}

// read is the connection's goroutine: it reads answers while no caller does, until the connection ends.
func (c *Conn) read() {
	for {
		select {
		case <-c.lead.own:
		case <-c.done: // by a write that failed, say: calls that nobody reads for end as well
			c.end(errClosed)
			return
		}
		for leads := true; leads; {
			if err := c.readOne(); err != nil {
				c.end(err)
				return
			}
			c.mu.Lock()
			if len(c.calls) == 0 && c.lead.row >= alone {
				leads, c.lead.taken = false, false
				c.lead.turn++
				c.lookLaterLocked()
			}
			c.mu.Unlock()
		}
	}
}
