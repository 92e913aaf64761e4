// Package hostservice is what the node serves to plugins: keys to sign with, a store, data sources, an error log and
// telemetry. Each is a server of its contract for the generated Export functions.
//
// It decides what may be lent and which errors a plugin sees. It must not know libocr, jobs or how plugins run: an
// implementation serves the holder of the loan, and the runtime decides who that is.
package hostservice

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ended turns the end of a call's context into its status, and returns nil for every other error.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(err).Err()
	}
	return nil
}

// unavailable is for failures of the node itself, which may pass.
func unavailable(err error) error {
	if e := ended(err); e != nil {
		return e
	}
	return status.Errorf(codes.Unavailable, "the node could not serve the call: %v", err)
}
