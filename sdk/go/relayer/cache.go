package relayer

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Cache holds the latest value read from a chain, so that only the first answer ever waits. NewCache makes it.
type Cache[T any] struct {
	subject  string
	why      func() string
	ttl      time.Duration
	answered chan struct{} // closed when the chain has answered for the first time, or the cache is closed
	answer   func()

	mu      sync.Mutex
	value   T
	set     time.Time // of value; zero: never
	failure error     // of the last read; nil after a success
}

// NewCache makes an empty Cache. subject names the value, for errors; why, if not nil, says what a first read still
// waits for; ttl is how old an answer may be.
func NewCache[T any](subject string, why func() string, ttl time.Duration) *Cache[T] {
	answered := make(chan struct{})
	return &Cache[T]{
		subject: subject, why: why, ttl: ttl,
		answered: answered, answer: sync.OnceFunc(func() { close(answered) }),
	}
}

// Set stores a value that was read.
func (c *Cache[T]) Set(value T) {
	c.mu.Lock()
	c.value, c.set, c.failure = value, time.Now(), nil
	c.mu.Unlock()
	c.answer()
}

// Fail records why nothing was read. An error that is none of UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED is the
// chain's answer: waiting would not change it.
func (c *Cache[T]) Fail(err error) {
	c.mu.Lock()
	c.failure = err
	c.mu.Unlock()
	if !passes(err) {
		c.answer()
	}
}

// passes reports whether a failed read may succeed later although nobody changes the chain or the job.
func passes(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}

// Close ends all waiting.
func (c *Cache[T]) Close() { c.answer() }

// Latest returns the value.
//
// It returns UNAVAILABLE with the reason of the last failure if nothing was read yet, or not within the TTL.
func (c *Cache[T]) Latest() (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none T
	switch age := time.Since(c.set); {
	case c.set.IsZero() && c.failure == nil:
		why := "the first answer of the chain is still awaited"
		if c.why != nil {
			why = c.why()
		}
		return none, status.Errorf(codes.Unavailable, "%s has not been read yet: %s", c.subject, why)
	case c.set.IsZero():
		return none, status.Errorf(codes.Unavailable, "%s has not been read yet: %s", c.subject,
			status.Convert(c.failure).Message())
	case age <= c.ttl:
		return c.value, nil
	case c.failure == nil:
		return none, status.Errorf(codes.Unavailable, "%s was last read %s ago, which is too long: the chain does not answer",
			c.subject, age.Round(time.Second))
	default:
		return none, status.Errorf(codes.Unavailable, "%s was last read %s ago, which is too long: %s",
			c.subject, age.Round(time.Second), status.Convert(c.failure).Message())
	}
}

// Await is like Latest, but in a process that has just started it waits for the chain's first answer, as the function
// Await does, so that no call fails because a relayer starts.
//
// Its errors are those of Latest.
func (c *Cache[T]) Await(ctx context.Context) (T, error) {
	Await(ctx, c.answered)
	return c.Latest()
}
