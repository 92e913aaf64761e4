// Package making counts how often an object of a plugin was made, for calls that must not reach two instances.
//
// It must not know what the object is or what is called.
package making

import (
	"context"
	"sync"
)

// Counter counts how often one object was made. The zero value means never.
type Counter struct {
	mu      sync.Mutex
	makings uint64
	changed chan struct{} // closed at the next making; nil: nobody waits
}

// Made counts one more instance. Call it before any call reaches the new instance.
func (c *Counter) Made() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.makings++
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// soFar returns how often the object was made, and the channel that closes at the next time.
func (c *Counter) soFar() (uint64, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.makings, c.changed
}

// Once asks an instance what it may be asked once: it remembers having answered, and answers a repeat otherwise. lost
// says that an answer, if there was one, did not come back.
//
// Then nobody knows whether the instance had answered. If it is made again, what the old one remembered is gone, and
// nothing came of it: the new one's answer is a first answer. It is asked, once, for as long as ctx lasts. An instance
// that is still the same is not asked again. Nor is one that was made under the call: the call may have waited for that
// and gone to it.
func Once[T any](
	ctx context.Context,
	c *Counter,
	ask func(context.Context) (answer T, lost bool, err error),
) (T, error) {
	before, _ := c.soFar()
	answer, lost, err := ask(ctx)
	if now, remade := c.soFar(); lost && now == before {
		select {
		case <-remade:
			answer, _, err = ask(ctx)
		case <-ctx.Done():
		}
	}
	return answer, err
}
