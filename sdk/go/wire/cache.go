package wire

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Cache keeps what is made once and asked for by every call: of a method, or of a method and a code. It is read without
// a lock or an allocation, and grows by a copy: its keys are few. Its zero value is empty.
type Cache[K comparable, V any] struct {
	known atomic.Pointer[map[K]V]
	mu    sync.Mutex
}

// Get is what is kept for a key.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	if known := c.known.Load(); known != nil {
		v, ok = (*known)[key]
	}
	return v, ok
}

// Put keeps a value. Of two for the same key the last one stays.
func (c *Cache[K, V]) Put(key K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	grown := map[K]V{key: v}
	if known := c.known.Load(); known != nil {
		grown = maps.Clone(*known)
		grown[key] = v
	}
	c.known.Store(&grown)
}
