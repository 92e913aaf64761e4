package wire

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Cache keeps values that are made once and used by every call, by method, or by method and code. Reading takes no lock
// and no allocation. It grows by copying, since its keys are few. The zero value is empty.
type Cache[K comparable, V any] struct {
	known atomic.Pointer[map[K]V]
	mu    sync.Mutex
}

// Get returns the value of a key.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	if known := c.known.Load(); known != nil {
		v, ok = (*known)[key]
	}
	return v, ok
}

// Put stores a value. If the key has one already, the new value replaces it.
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
