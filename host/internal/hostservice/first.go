package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// answersKept is how many answers are remembered. Repeats come within a plugin's restart, seconds at most, and even
	// the fastest feeds make some twenty rounds a second.
	answersKept = 500
	// keptSize is what remembered answers may take together, in bytes, where they have a size: those of a few rounds,
	// since one may have a megabyte and a job lives for months.
	keptSize = 8 << 20
	// maxAsking bounds a call of a caller without a deadline; it is the default of the methods.
	maxAsking = 30 * time.Second
	// maxReturnTime is the part of a caller's time that is left for the way back, which is at most an eighth of that time.
	// A pipeline whose time is over still returns the results that it has, and these count only if they arrive before the
	// caller's deadline.
	maxReturnTime = 100 * time.Millisecond
)

// first gives all calls with one key the first answer. A repeated call gets the remembered answer, and one that comes
// while the first is in progress waits for it. The work outlives the caller that began it, up to that caller's
// deadline: when a plugin ends in the middle, the repeated call of its next generation must get the same answer. An
// error is not an answer, and is not remembered, so a repeated call may still get an answer. All errors are statuses,
// also those of the work itself.
type first[K comparable, V any] struct {
	what    string // asks, in words
	logger  *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	size func(V) int // of an answer; nil: they are small

	mu      sync.Mutex
	answers map[K]*answer[V]
	order   []K // of answers, oldest first
	held    int // the size of all answers
	closed  bool
}

// answer is in progress until done is closed.
type answer[V any] struct {
	of    string // what was asked for
	done  chan struct{}
	value V
	size  int // 0 while it is in progress
	err   error
}

func newFirst[K comparable, V any](what string, logger *slog.Logger, size func(V) int) *first[K, V] {
	f := &first[K, V]{what: what, logger: logger, size: size, answers: map[K]*answer[V]{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// close ends the work in progress and waits for it.
func (f *first[K, V]) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.running.Wait()
}

// get returns the first answer by a key. The key belongs to the question with which it came first: with any other
// question it is refused.
func (f *first[K, V]) get(ctx context.Context, key K, of string, ask func(context.Context) (V, error)) (V, error) {
	var none V
	a, err := f.join(ctx, key, of, ask)
	if err != nil {
		return none, err
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return none, status.FromContextError(ctx.Err()).Err()
	}
}

// join returns the answer by a key, and begins the work for it if there is none.
func (f *first[K, V]) join(ctx context.Context, key K, of string,
	ask func(context.Context) (V, error)) (*answer[V], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.answers[key]; a != nil {
		if a.of != of {
			return nil, status.Errorf(codes.AlreadyExists, "%v stands for %q, and cannot stand for %q as well", key, a.of, of)
		}
		return a, nil
	}
	if f.closed {
		return nil, f.ended()
	}
	a := &answer[V]{of: of, done: make(chan struct{})}
	f.answers[key] = a
	f.order = append(f.order, key)
	if len(f.order) > answersKept {
		f.forget(f.order[0])
		f.order = append(f.order[:0], f.order[1:]...)
	}
	limit := maxAsking
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	limit -= min(maxReturnTime, limit/8)
	f.running.Go(func() {
		ctx, cancel := context.WithTimeout(f.ctx, limit)
		defer cancel()
		value, err := f.ask(ctx, ask)
		f.mu.Lock()
		defer f.mu.Unlock()
		a.value, a.err = value, err
		switch remembered := f.answers[key] == a; {
		case err != nil && remembered:
			// The place in the order stays, and does no harm.
			delete(f.answers, key)
		case remembered && f.size != nil:
			a.size = f.size(value)
			f.held += a.size
			f.shed(key)
		}
		close(a.done)
	})
	return a, nil
}

// forget drops an answer, if there is one.
func (f *first[K, V]) forget(key K) {
	if a := f.answers[key]; a != nil {
		f.held -= a.size
		delete(f.answers, key)
	}
}

// shed drops the oldest answers until the others fit, but none that is in progress nor the newest one.
func (f *first[K, V]) shed(newest K) {
	if f.held <= keptSize {
		return
	}
	f.order = slices.DeleteFunc(f.order, func(key K) bool {
		a := f.answers[key]
		if f.held <= keptSize || key == newest || a != nil && a.size == 0 {
			return false
		}
		f.forget(key)
		return true
	})
}

// ask does the work. A panic becomes an error: nothing above recovers it, and the work must not end the node.
func (f *first[K, V]) ask(ctx context.Context, ask func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			f.logger.Error("a "+f.what+" panicked", "panic", fault, "stack", string(debug.Stack()))
			err = status.Errorf(codes.FailedPrecondition,
				"the %s panicked: %.256s; this is a fault of the node, please report it",
				f.what, fmt.Sprint(fault))
		}
	}()
	value, err = ask(ctx)
	if f.ctx.Err() != nil { // what was found so far is no answer
		err = f.ended()
	}
	return value, err
}

func (f *first[K, V]) ended() error {
	return status.Errorf(codes.Unavailable, "the job of this %s has ended", f.what)
}
