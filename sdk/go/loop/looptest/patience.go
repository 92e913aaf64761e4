package looptest

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// hang is when a call that takes milliseconds counts as one that does not end, on a machine that is busy too.
const hang = 20 * time.Second

// within is a bound of the contract as this machine has to keep it.
func (b *bench) within(bound time.Duration) time.Duration {
	return bound * time.Duration(b.settings.Patience)
}

// noticed is how soon an answer, or the end of a process, is here on a machine that is busy.
const noticed = time.Second

// growing makes a trial in which a call has not much longer than it needs. A busy machine may need more: while the
// deadline ends the call, the trial is made again with twice the time, up to eight times the first.
func growing(limit time.Duration, trial func(limit time.Duration) error) error {
	for most := 8 * limit; ; limit *= 2 {
		if err := trial(limit); status.Code(err) != codes.DeadlineExceeded || limit >= most {
			return err
		}
	}
}

// settled tells whether a channel is closed; where something went wrong it waits a little, because an exit follows its
// errors.
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
