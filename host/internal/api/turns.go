package api

import (
	"context"
	"fmt"
)

// How many calls may do work at the same time that takes much. Deriving a key from a password takes 256 MiB, or up to
// 1 GiB if a key's file says so. Reading a job spec takes up to 30 MiB. A diagnosis asks every bridge.
const (
	maxStretching = 1
	maxChecking   = 2
	maxDiagnosing = 1
)

// turns makes callers wait for one another.
type turns chan struct{}

// take waits until it is the caller's turn, which lasts until done is called, or until ctx ends.
func (t turns) take(ctx context.Context, instead string) (done func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s all the while; try again: %w", instead, ctx.Err())
	}
}
