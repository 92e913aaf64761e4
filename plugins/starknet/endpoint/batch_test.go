package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// asks is a question of each of so many contracts, whose answers are their addresses.
func asks(n int) (asked []Asked) {
	for i := range n {
		asked = append(asked, Asked{Contract: stark.FromUint64(uint64(i)), Selector: stark.FromUint64(7)})
	}
	return asked
}

// batching is a node of which batch answers requests of several calls. It counts the requests.
func batching(t *testing.T, batch func(w http.ResponseWriter, calls []request)) (*Client, *atomic.Int64) {
	t.Helper()
	requests := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		body, _ := io.ReadAll(r.Body)
		var one request
		if json.Unmarshal(body, &one) == nil {
			_ = json.NewEncoder(w).Encode(answerTo(one))
			return
		}
		var calls []request
		if err := json.Unmarshal(body, &calls); err != nil {
			t.Error(err)
		}
		batch(w, calls)
	}))
	t.Cleanup(server.Close)
	c := NewDriver(Settings{URL: server.URL}).client()
	t.Cleanup(c.http.CloseIdleConnections)
	return c, requests
}

func answerTo(call request) map[string]any {
	contract := call.Params[0].(map[string]any)["contract_address"]
	return map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": []any{contract}}
}

func answersTo(calls []request) (answers []any) {
	for _, call := range calls {
		answers = append(answers, answerTo(call))
	}
	return answers
}

// TestViews checks that views come in as few requests as a node takes, and come whatever it does not take.
func TestViews(t *testing.T) {
	t.Parallel()
	send := func(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }
	refused := map[string]any{"id": nil, "error": map[string]any{"code": -32600, "message": "batch too large"}}
	for name, c := range map[string]struct {
		batch func(w http.ResponseWriter, calls []request)
		// requests for 250 views, and for as many again.
		first, again int64
	}{
		"all": {func(w http.ResponseWriter, calls []request) { send(w, answersTo(calls)) }, 3, 3},
		"in another order": {func(w http.ResponseWriter, calls []request) {
			slices.Reverse(calls)
			send(w, answersTo(calls))
		}, 3, 3},
		"25": {func(w http.ResponseWriter, calls []request) {
			if len(calls) > 25 {
				send(w, refused)
				return
			}
			send(w, answersTo(calls))
		}, 12, 10},
		"25, by an array": {func(w http.ResponseWriter, calls []request) {
			if len(calls) > 25 {
				send(w, []any{refused})
				return
			}
			send(w, answersTo(calls))
		}, 12, 10},
		"none": {func(w http.ResponseWriter, _ []request) { w.WriteHeader(http.StatusBadRequest) }, 256, 250},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, requests := batching(t, c.batch)
			for _, want := range []int64{c.first, c.again} {
				asked := asks(250)
				if err := client.Views(t.Context(), asked); err != nil {
					t.Fatal(err)
				}
				for i, a := range asked {
					if a.Err != nil || !slices.Equal(a.Answer, []stark.Felt{stark.FromUint64(uint64(i))}) {
						t.Fatalf("view %d: got %v, %v", i, a.Answer, a.Err)
					}
				}
				if n := requests.Swap(0); n != want {
					t.Errorf("%d requests; want %d", n, want)
				}
			}
		})
	}
}

// TestViewsApart checks that what goes wrong with one view affects no other.
func TestViewsApart(t *testing.T) {
	t.Parallel()
	client, _ := batching(t, func(w http.ResponseWriter, calls []request) {
		answers := answersTo(calls)
		answers[1].(map[string]any)["error"] = map[string]any{"code": 20, "message": "Contract not found"}
		answers[2].(map[string]any)["result"] = "0x1"
		_ = json.NewEncoder(w).Encode(answers[:4])
	})
	asked := asks(5)
	if err := client.Views(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range asked {
		got = append(got, fmt.Sprintf("%d answers, %s", len(a.Answer), relayer.Reason(a.Err)))
	}
	want := []string{
		"1 answers, ", "0 answers, Contract not found", "0 answers, answers with something other than the JSON expected",
		"1 answers, ", "0 answers, leaves a call of a batch unanswered",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !relayer.IsAnswered(asked[1].Err) || relayer.IsAnswered(asked[4].Err) {
		t.Errorf("%v is an answer, and %v none", asked[1].Err, asked[4].Err)
	}
}

// TestViewsOfANodeThatIsDown checks that a node's fault is that, and is not taken for a refusal of batches.
func TestViewsOfANodeThatIsDown(t *testing.T) {
	t.Parallel()
	client, requests := batching(t, func(w http.ResponseWriter, _ []request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	err := client.Views(t.Context(), asks(5))
	var status relayer.StatusCode
	if !errors.As(err, &status) || requests.Load() != 1 {
		t.Errorf("got %v after %d requests", err, requests.Load())
	}
}
