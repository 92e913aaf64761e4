package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/loop-plugins/loop/host/internal/history"
)

// streamTime is how long a stream lasts, so that a revoked token stops working.
const streamTime = 10 * time.Minute

// watched refuses a job that is not there; 0 is all.
func (s *service) watched(id int64) error {
	if id == 0 {
		return s.starting()
	}
	_, err := s.job(id)
	return err
}

// follow sends what a listener hears until the caller, the node or the stream's time ends.
func follow[T any](ctx context.Context, heard *history.Listener[T], send func(T) error) error {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	for {
		select {
		case what, ok := <-heard.C:
			if !ok {
				return errEnds()
			}
			if err := send(what); err != nil {
				return err
			}
		case <-ctx.Done():
			return timeUp(ctx)
		}
	}
}

// errEnds is the error of a stream that ends with the node.
func errEnds() error { return connect.NewError(connect.CodeUnavailable, errors.New("the node ends")) }

// timeUp is the error of a stream whose time is over; it has none if the caller has gone.
func timeUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("a stream lasts %s; open it again", streamTime))
	}
	return nil
}
