package relayer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// Resume calls start for each account that has something unfinished in the Store, whether or not a job still names it.
// It retries until the Store answers, or ctx ends.
func Resume(ctx context.Context, store hostservicev1.StoreServiceClient, logger *slog.Logger,
	start func(account string) error) {
	accounts, err := backoff.Retry(ctx, func() ([]string, error) { return unfinished(ctx, store) },
		backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
			logger.Warn("unfinished transmissions could not be read", "pause", next, "error", err)
		}))
	if err != nil {
		return // ctx has ended
	}
	for _, account := range accounts {
		if err := start(account); err != nil {
			logger.Error("the unfinished transmissions of an account could not be resumed", "account", account, "error", err)
		}
	}
}

// unfinished lists the accounts that have records in a Store.
func unfinished(ctx context.Context, store hostservicev1.StoreServiceClient) ([]string, error) {
	var accounts []string
	seen := map[string]bool{}
	token := ""
	for {
		page, err := store.List(ctx, &hostservicev1.ListRequest{Prefix: "transmit/", PageToken: token, PageSize: 1000})
		if err != nil {
			return nil, fmt.Errorf("list the accounts with unfinished transmissions in the store: %w", err)
		}
		for _, e := range page.GetEntries() {
			account, _, found := strings.Cut(strings.TrimPrefix(e.GetKey(), "transmit/"), "/")
			if found && !seen[account] {
				seen[account] = true
				accounts = append(accounts, account)
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return accounts, nil
		}
	}
}
