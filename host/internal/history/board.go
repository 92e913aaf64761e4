package history

import "sync"

// roomy is how many events a listener may be behind.
const roomy = 256

// board tells listeners what happens.
type board[T any] struct {
	mu        sync.Mutex
	listeners map[*Listener[T]]struct{}
	closed    bool
}

// Listener receives events.
type Listener[T any] struct {
	// C closes at the end of the node.
	C <-chan T

	board  *board[T]
	job    int64
	send   chan T
	missed uint64
}

// listen returns a listener to the events of a job; 0: of all jobs.
func (b *board[T]) listen(job int64) *Listener[T] {
	send := make(chan T, roomy)
	l := &Listener[T]{C: send, board: b, job: job, send: send}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(send)
		return l
	}
	if b.listeners == nil {
		b.listeners = map[*Listener[T]]struct{}{}
	}
	b.listeners[l] = struct{}{}
	return l
}

// Close ends the listener.
func (l *Listener[T]) Close() {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	delete(l.board.listeners, l)
}

// Missed returns how many events were lost since its last call, because nobody received them in time.
func (l *Listener[T]) Missed() uint64 {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	missed := l.missed
	l.missed = 0
	return missed
}

// heard reports whether anybody listens to a job.
func (b *board[T]) heard(job int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		if l.job == 0 || l.job == job {
			return true
		}
	}
	return false
}

// tell waits for nobody.
func (b *board[T]) tell(job int64, what T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		if l.job != 0 && l.job != job {
			continue
		}
		select {
		case l.send <- what:
		default:
			l.missed++
		}
	}
}

func (b *board[T]) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for l := range b.listeners {
		close(l.send)
		delete(b.listeners, l)
	}
}

// ListenRuns listens for runs that end, of one job; 0 means all jobs. The listener formats the run itself, because that
// takes longer than the running code may wait.
func (h *History) ListenRuns(job int64) *Listener[func() *Run] { return h.runs.listen(job) }

// ListenRounds listens for events in rounds, of one job; 0 means all jobs.
func (h *History) ListenRounds(job int64) *Listener[*Happening] { return h.rounds.listen(job) }
