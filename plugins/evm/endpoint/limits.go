package endpoint

import (
	"sync"
	"time"
)

// limits is what one server was found to allow. It outlives the server's clients.
type limits struct {
	batch     learned // calls in one request
	span      learned // blocks in one eth_getLogs
	contracts learned // contracts in one eth_getLogs

	mu    sync.Mutex
	alone map[string]time.Time // methods that it takes in no batch, until when that is believed
}

// How long a limit is believed. Afterwards a server may turn out to allow more, and to find that out costs a few
// requests.
const (
	believed = time.Hour   // that the server has put into words
	supposed = time.Minute // that may have been a passing fault
)

// learned is one limit. The zero value is none.
type learned struct {
	mu    sync.Mutex
	most  uint64
	until time.Time
}

// atMost is the limit, or what is given if no lower one is known.
func (l *learned) atMost(otherwise uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.until) {
		return min(l.most, otherwise)
	}
	return otherwise
}

// learn keeps a limit for a while.
func (l *learned) learn(most uint64, lasts time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.until = most, time.Now().Add(lasts)
}

// goesAlone reports whether a method is in no batch for now.
func (l *limits) goesAlone(method string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.alone[method])
}

// leaveAlone keeps a method out of batches for a while.
func (l *limits) leaveAlone(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alone == nil {
		l.alone = map[string]time.Time{}
	}
	l.alone[method] = time.Now().Add(believed)
}
