package relayer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestResume checks that a Store which fails at first is asked again, and that one account which cannot be started
// holds up no other.
func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failures := 3
		store := &relayertest.Store{}
		for _, account := range []string{"b", "a", "c", "d", "e"} {
			add(t, NewQueue(QueueSettings{Account: account, Store: store, Sender: &script{}}), item("x", 1), item("y", 1))
		}
		store.Before = func(string) error {
			if failures--; failures >= 0 {
				return errors.New("the database is away")
			}
			return nil
		}
		var log bytes.Buffer
		var started []string
		Resume(t.Context(), store, slog.New(slog.NewTextHandler(&log, nil)), func(account string) error {
			if account == "b" {
				return errors.New("no address")
			}
			started = append(started, account)
			return nil
		})
		if diff := cmp.Diff("a c d e", strings.Join(started, " ")); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if warned, told := strings.Count(log.String(), "the database is away"), strings.Count(log.String(),
			`account=b error="no address"`); warned != 3 || told != 1 {
			t.Errorf("the log tells of the Store %d times and of the account %d times: %s", warned, told, log.String())
		}
	})
}

func TestResumeEndsWithItsChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &relayertest.Store{Before: func(string) error { return errors.New("the database is away") }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		Resume(ctx, store, slog.New(slog.DiscardHandler), func(string) error { t.Error("an account is started"); return nil })
		if ctx.Err() == nil {
			t.Error("it ended before the chain did")
		}
	})
}

func TestPage(t *testing.T) {
	t.Parallel()
	down := madeDriver{connect: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }}
	pool := NewPool(PoolSettings{},
		[]Node[int]{{Name: "a", Driver: down}, {Name: "b", Driver: down}, {Name: "c", Driver: down}})
	defer pool.Close()
	for name, c := range map[string]struct {
		size  uint32
		token string
		want  []string
		next  string
	}{
		"all":        {0, "", []string{"a", "b", "c"}, ""},
		"too many":   {9, "", []string{"a", "b", "c"}, ""},
		"first page": {2, "", []string{"a", "b"}, "2"},
		"last page":  {2, "2", []string{"c"}, ""},
		"the rest":   {0, "1", []string{"b", "c"}, ""},
	} {
		page, err := pool.Page(&relayerv1.ListNodeStatusesRequest{PageSize: c.size, PageToken: c.token})
		var got []string
		for _, n := range page.GetNodes() {
			got = append(got, n.GetName())
		}
		if err != nil || !slices.Equal(got, c.want) || page.GetNextPageToken() != c.next || page.GetTotal() != 3 {
			t.Errorf("%s: %v, %q of %d, %v", name, got, page.GetNextPageToken(), page.GetTotal(), err)
		}
	}
	for _, token := range []string{"x", "0", "-1", "3", "99999999999999999999"} {
		if _, err := pool.Page(&relayerv1.ListNodeStatusesRequest{PageToken: token}); status.Code(
			err) != codes.InvalidArgument {
			t.Errorf("the token %q: %v", token, err)
		}
	}
}
