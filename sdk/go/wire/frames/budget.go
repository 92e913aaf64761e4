package frames

// free is whether there is room for a call. The lock is held.
func (c *Conn) free(size int) bool {
	return len(c.calls) < maxOpen && (c.shared(size) || size <= maxChunk && c.passed+size <= maxPassed)
}

// shared is whether there is room for a call among those that passed nobody: a small one takes none from a long one
// that waits. The lock is held.
func (c *Conn) shared(size int) bool {
	return c.bytes-c.passed+size <= maxBytes && (size > maxChunk || len(c.slots.waiting) == 0)
}

// forget takes a call that is answered out of what is counted. The lock is held.
func (c *Conn) forget(id uint32, k *call) {
	delete(c.calls, id)
	c.bytes -= k.size
	if k.passed {
		c.passed -= k.size
	}
	c.slots.wake()
	c.small.wake()
}
