package relayertest

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
)

// FirstCallsWait checks that a relayer that has just started fails no call while its node, which hangs, has not
// answered yet, and that a caller that cannot wait gets an error that names the node and contains want. Calls in
// unasked need no answer of a node.
func FirstCallsWait(t *testing.T, node *Server, p relayerv1loop.Provider, want string, unasked ...string) {
	t.Helper()
	calls := map[string]func(ctx context.Context) error{
		"LatestConfigDetails": func(ctx context.Context) error {
			_, err := p.LatestConfigDetails(ctx, nil)
			return err
		},
		"LatestBlockHeight": func(ctx context.Context) error { _, err := p.LatestBlockHeight(ctx, nil); return err },
		"LatestConfigDigestAndEpoch": func(ctx context.Context) error {
			_, err := p.LatestConfigDigestAndEpoch(ctx, nil)
			return err
		},
		"LatestTransmissionDetails": func(ctx context.Context) error {
			_, err := p.LatestTransmissionDetails(ctx, nil)
			return err
		},
		"LatestRoundRequested": func(ctx context.Context) error {
			_, err := p.LatestRoundRequested(ctx, &medianv1.LatestRoundRequestedRequest{Lookback: durationpb.New(time.Hour)})
			return err
		},
	}
	maps.DeleteFunc(calls, func(name string, _ func(context.Context) error) bool { return slices.Contains(unasked, name) })
	var calling sync.WaitGroup
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for name, call := range calls {
		calling.Go(func() {
			if err := call(short); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of a caller without time: %v", name, err)
			}
		})
	}
	calling.Wait()
	patient, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for name, call := range calls {
		calling.Go(func() {
			if err := call(patient); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	node.SetFault(None)
	calling.Wait()
}

// Rests checks that the time for which a node asks to be left alone reaches the code that chooses among nodes. connect
// connects to a node that answers nothing else, and returns the relayer.Reason of the result.
func Rests(t *testing.T, connect func(ctx context.Context, url string) (reason string)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	const want = "answers with HTTP status 429: it limits the rate of requests; it asks to be left alone for 7s"
	if reason := connect(t.Context(), server.URL); reason != want {
		t.Errorf("%s, want %s", reason, want)
	}
}
