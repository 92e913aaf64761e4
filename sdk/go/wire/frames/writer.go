package frames

import (
	"net"
	"runtime"
	"sync"
)

// line is where goroutines wait for something in the order in which they came: waking all of them for what one can have
// is unfair.
type line struct{ waiting []chan struct{} }

// waitLocked waits until it is this goroutine's turn and ok holds, or done is closed, and says which. The lock is held
// before and after, and whoever makes ok come true calls wake.
func (l *line) waitLocked(mu *sync.Mutex, done <-chan struct{}, ok func() bool) bool {
	if len(l.waiting) == 0 && ok() {
		return true
	}
	turn := make(chan struct{}, 1)
	l.waiting = append(l.waiting, turn)
	for {
		mu.Unlock()
		came := true
		select {
		case <-turn:
		case <-done:
			came = false
		}
		mu.Lock()
		if came && (l.waiting[0] != turn || !ok()) {
			continue
		}
		for i, t := range l.waiting {
			if t == turn {
				l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
				break
			}
		}
		l.wakeLocked() // there may be something left for the next
		return came
	}
}

// wakeLocked lets the first look.
func (l *line) wakeLocked() {
	if len(l.waiting) > 0 {
		select {
		case l.waiting[0] <- struct{}{}:
		default:
		}
	}
}

// writer joins frames into few writes. Its lock guards all of it, and what its owner keeps beside it.
type writer struct {
	nc   net.Conn
	done chan struct{} // closed with err set

	mu         sync.Mutex
	out, spare []byte
	flushing   bool          // somebody writes, and takes along what is appended meanwhile
	kick       chan struct{} // wakes run
	quick      func() bool   // whether the socket's buffer takes what is queued at once
	room       line          // of those who wait until out is short
	long       line          // of long messages, which wait until out is shorter than that
	quiet      line          // of those who wait until nothing is left to write
	err        error
}

func newWriter(nc net.Conn, quick func() bool) *writer {
	return &writer{nc: nc, done: make(chan struct{}), kick: make(chan struct{}, 1), quick: quick}
}

// run writes the frames that their callers do not write themselves, until the connection fails.
func (w *writer) run() {
	for {
		select {
		case <-w.kick:
		case <-w.done:
			return
		}
		w.mu.Lock()
		for len(w.out) > 0 && w.err == nil {
			w.flushLocked()
		}
		w.flushing = false
		w.quiet.wakeLocked()
		w.mu.Unlock()
	}
}

// waitRoomLocked waits until little is queued; it is false if done was closed first. The lock is held before and after.
func (w *writer) waitRoomLocked(done <-chan struct{}) bool {
	return w.shortLocked(&w.room, maxQueue, done)
}

func (w *writer) shortLocked(l *line, most int, done <-chan struct{}) bool {
	if len(l.waiting) == 0 && len(w.out) <= most {
		return true
	}
	return l.waitLocked(&w.mu, done, func() bool { return len(w.out) <= most || w.err != nil })
}

// send sees to it that what was appended is written, and unlocks: by this goroutine if that is quick and nobody writes
// already. crowded: others are about to append, and wait no longer if they go first.
func (w *writer) send(crowded bool) {
	if w.flushing || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.flushing = true
	// A few turns for others are enough: run goes on.
	for turn := 0; turn < 16 && len(w.out) > 0 && w.err == nil && w.quick(); turn++ {
		if crowded {
			w.mu.Unlock()
			runtime.Gosched()
			w.mu.Lock()
			if !w.quick() {
				break
			}
		}
		w.flushLocked()
	}
	if len(w.out) == 0 || w.err != nil {
		w.flushing = false
		w.quiet.wakeLocked()
	} else {
		w.kick <- struct{}{} // never waits: only whoever flushes kicks
	}
	w.mu.Unlock()
}

// flushLocked writes what is queued. The lock is held before and after, and not meanwhile.
func (w *writer) flushLocked() {
	b := w.out
	w.out = w.spare[:0]
	w.room.wakeLocked()
	w.long.wakeLocked()
	w.mu.Unlock()
	_, err := w.nc.Write(b)
	w.mu.Lock()
	if cap(b) <= keptBuffer {
		w.spare = b
	} else {
		w.spare = nil
	}
	if err != nil {
		w.failLocked(err)
	}
}

// failLocked ends the connection. The first error stays.
func (w *writer) failLocked(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.out = nil
	close(w.done)
	hangUp(w.nc)
	w.room.wakeLocked()
	w.long.wakeLocked()
	w.quiet.wakeLocked()
}

// chunks sends the rest of a message whose first frame was sent, and waits for room until done is closed. next is
// called with the lock held before each chunk, and reports whether it is still wanted.
func (w *writer) chunks(done <-chan struct{}, id uint32, rest []byte, next func(last bool) bool) {
	for len(rest) > 0 {
		w.mu.Lock()
		if !w.shortLocked(&w.long, maxLong, done) || w.err != nil || !next(len(rest) <= maxChunk) {
			w.mu.Unlock()
			return
		}
		n, h := len(rest), header{id: id, kind: kindChunk}
		if n > maxChunk {
			n, h.flags = maxChunk, flagMore
		}
		w.out = appendHeader(w.out, h, 0, n)
		w.out = append(w.out, rest[:n]...)
		w.send(false)
		rest = rest[n:]
	}
}
