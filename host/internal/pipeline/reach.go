package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Reach sends a HEAD request to a bridge's URL, and returns the status of the answer. Its errors do not show the URL.
func (r *Runner) Reach(ctx context.Context, bridge string) (status int, err error) {
	address, err := r.bridges.Bridge(ctx, bridge)
	if err != nil {
		return 0, err
	}
	if _, err := parseURL(address); err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return 0, errors.New("the URL cannot be asked")
	}
	response, err := r.client.Do(request)
	var failed *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return 0, errors.New("no answer came in time")
	case errors.As(err, &failed):
		return 0, failed.Err // without the URL
	case err != nil:
		return 0, fmt.Errorf("asking it: %w", err)
	}
	_ = response.Body.Close() // HEAD has none
	return response.StatusCode, nil
}
