package frames

// freeLocked is whether there is room for a call.
func (c *Conn) freeLocked(size int) bool {
	return len(c.calls) < maxOpen && (c.sharedLocked(size) || size <= maxChunk && c.passed+size <= maxPassed)
}

// sharedLocked is whether there is room for a call among those that passed nobody: a small one takes none from a long
// one that waits.
func (c *Conn) sharedLocked(size int) bool {
	return c.bytes-c.passed+size <= maxBytes && (size > maxChunk || len(c.slots.waiting) == 0)
}

// forgetLocked takes a call that is answered out of what is counted.
func (c *Conn) forgetLocked(id uint32, k *call) {
	delete(c.calls, id)
	c.bytes -= k.size
	if k.passed {
		c.passed -= k.size
	}
	c.slots.wakeLocked()
	c.small.wakeLocked()
}
