package frames

import "time"

// The goroutine that reads serves a call itself if the call is alone and its method has been short so often in a row:
// waking a worker costs more.
const (
	short   = 100 * time.Microsecond
	trusted = 8
	// distrusted is how often more a method whose reader was relieved must be short before it is trusted again.
	distrusted = 1 << 10
)

const (
	// idleWorkers is how many goroutines of a connection wait for the next call: one that has served some has the stack
	// for it.
	idleWorkers = 64
	// retireEvery is how often those that wait then are let go: a burst leaves nothing behind.
	retireEvery = 5 * time.Second
)

// dispatch has a call served: here, or by a worker. It never waits. It is false if somebody else reads now.
func (c *serverConn) dispatch(q *incoming) bool {
	q.taken = true
	if q.alone && c.in.from == c.in.to && q.method.quick.Load() >= trusted {
		c.relief.begin()
		c.handle(q)
		still := c.relief.end()
		if !still {
			q.method.quick.Store(-distrusted)
		}
		return still
	}
	select {
	case c.work <- q:
	default:
		c.hire()
		c.server.running.Go(func() {
			makeRoom(int(q.id))
			c.handle(q)
			c.await()
		})
	}
	return true
}

// usualStack is what most handlers need of their goroutine's stack, with what calls them and what they call.
const usualStack = 4 << 10

// makeRoom makes this goroutine's stack grow now, when it is empty. Otherwise it would grow several times below a
// handler, and be copied each time: a tenth of a burst's processor time.
//
//go:noinline
func makeRoom(anywhere int) byte {
	var room [usualStack]byte
	return room[anywhere&(usualStack-1)]
}

// hire counts one more worker.
func (c *serverConn) hire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers++; c.workers == 1 && c.err == nil {
		c.retire.Reset(retireEvery)
	}
}

// letGo ends the workers that wait.
func (c *serverConn) letGo() {
	for waiting := true; waiting; {
		select {
		case c.work <- nil:
		default:
			waiting = false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers > 0 && c.err == nil {
		c.retire.Reset(retireEvery)
	}
}

// await serves what comes, as long as few others wait for the same.
func (c *serverConn) await() {
	for c.idle.Add(1) <= idleWorkers {
		var q *incoming
		select {
		case q = <-c.work:
		case <-c.done:
		}
		if q == nil {
			break
		}
		c.idle.Add(-1)
		c.handle(q)
	}
	c.idle.Add(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers--
}

func (c *serverConn) handle(q *incoming) {
	if q.refused != nil {
		c.answer(q, nil, q.refused)
		return
	}
	begin := time.Now()
	reply, err := q.method.handler(q.method.impl, q, q.decode, nil)
	if n := q.method.quick.Load(); time.Since(begin) > short {
		q.method.quick.Store(min(n, 0))
	} else if n < trusted {
		q.method.quick.Store(n + 1)
	}
	c.answer(q, reply, err)
}
