package looptest

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hang is how long a call that takes milliseconds may take before it counts as one that does not end, even on a busy
// machine.
func (b *bench) hang() time.Duration { return b.within(20 * time.Second) }

// within is a bound of the contract, multiplied by the patience that the settings ask for.
func (b *bench) within(bound time.Duration) time.Duration {
	return bound * time.Duration(b.settings.Patience)
}

// noticed is how soon an answer, or the end of a process, is noticed on a busy machine.
const noticed = time.Second

// growing makes a trial that gives a call little more time than it needs. A busy machine may need more: if the deadline
// ends the call, the trial is repeated with twice the time, up to eight times the first, multiplied by the patience.
func (b *bench) growing(limit time.Duration, trial func(limit time.Duration) error) error {
	for most := b.within(8 * limit); ; limit *= 2 {
		if err := trial(limit); status.Code(err) != codes.DeadlineExceeded || limit >= most {
			return err
		}
	}
}

// settled reports whether a channel is closed. If wait is set, it waits up to patience, for a process ends a little
// after the errors that it causes.
func settled(c <-chan struct{}, patience time.Duration, wait bool) bool {
	if !wait {
		patience = 0
	}
	select {
	case <-c:
		return true
	default:
	}
	select {
	case <-c:
		return true
	case <-time.After(patience):
		return false
	}
}
