package wire

import (
	"runtime"
	"sync"
)

// mostTaken is how many bytes long messages may take until what they leave is collected.
const mostTaken = 8 << 20

// Memory makes the garbage collector run before long messages take too much memory. By itself Go's collector lets a
// heap grow to twice of what is in use: with messages of 16 MiB, one after another, that would be several times what is
// in use. A nil Memory leaves it to Go's collector.
type Memory struct {
	mu    sync.Mutex
	taken int // bytes of long messages since the last collection
}

// Take is called before that many bytes are allocated for a long message. It collects first if much was taken since the
// last collection, and makes other callers wait meanwhile.
func (m *Memory) Take(bytes int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken > 0 && m.taken+bytes > mostTaken {
		runtime.GC()
		m.taken = 0
	}
	m.taken += bytes
}
