package node

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The pauses between the tries of jobs that failed: the first one, and the longest.
const (
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// triedAgain ends the reason of what the node tries again by itself.
const triedAgain = "; the node tries again by itself"

// passing is an error that may not come again, such as that of a read: a later try can succeed though nobody has
// changed anything.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

func mayPass(err error) bool {
	var p passing
	return errors.As(err, &p)
}

// keepTrying begins to try jobs that failed again and again, until close.
func (j *jobs) keepTrying() {
	var ctx context.Context
	ctx, j.ending = context.WithCancel(context.Background())
	j.trying.Go(func() {
		for pause := firstPause; ; {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			if j.tryFailed(ctx) {
				pause = min(2*pause, longestPause)
			} else {
				pause = firstPause
			}
		}
	})
}

// tryFailed opens the jobs that failed for a reason that may pass, and reports whether that left one that still fails
// so. While somebody changes the jobs it does nothing: it must not wait for them when the node ends.
func (j *jobs) tryFailed(ctx context.Context) (left bool) {
	if !j.changing.TryLock() {
		return false
	}
	defer j.changing.Unlock()
	var wait sync.WaitGroup
	for _, r := range j.list() {
		if r.again {
			wait.Go(func() { j.put(j.open(ctx, r.stored)) })
		}
	}
	wait.Wait()
	return slices.ContainsFunc(j.list(), func(r *running) bool { return r.again })
}

// askAgain opens the jobs that a plugin may have kept from running, and that do not run, after its replacement: what
// one program refuses for good, another may take.
func (j *jobs) askAgain(ctx context.Context, plugin string) {
	j.changing.Lock()
	defer j.changing.Unlock()
	var wait sync.WaitGroup
	for _, r := range j.list() {
		if r.removed || r.oracle != nil && !r.oracle.Refused() || !j.needs(r, plugin) {
			continue
		}
		wait.Go(func() {
			j.halt(ctx, r)
			j.put(j.open(ctx, r.stored))
		})
	}
	wait.Wait()
}

// needs reports whether a job may need a plugin, for itself or as one that jobs share.
func (j *jobs) needs(r *running, plugin string) bool {
	if owner := ownerOf(plugin); owner != "" {
		return owner == strconv.FormatInt(r.stored.ID, 10)
	}
	if r.invalid {
		return true // nobody knows what it would need
	}
	if shared := j.node.plugins.shared[r.spec.Relay]; shared != nil && shared.plugin.Name() == plugin {
		return true
	}
	reports, err := j.node.plugins.reporter(r.spec)
	return err == nil && reports.plugin() != nil && reports.plugin().Name() == plugin
}
