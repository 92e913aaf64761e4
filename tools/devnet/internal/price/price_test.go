package price

import (
	"context"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	server, err := Start(7, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()

	tests := map[string]struct {
		method, url, body string
		status            int
		want              string // in the answer
	}{
		"price": {"GET", server.PriceURL("node-1"), "", 200, `{"data":{"result":"`},
		"bridge": {"POST", server.BridgeURL("node-1"), `{"meta":{"latestAnswer":null}}`,
			200, `{"data":{"result":"`},
		"juels":                    {"GET", server.JuelsURL(), "", 200, `{"data":{"result":"130500000000000000000"}}`},
		"lamport":                  {"GET", server.LamportURL(), "", 200, `{"data":{"result":"8100000000"}}`},
		"FRI":                      {"GET", server.FRIURL(), "", 200, `{"data":{"result":"1"}}`},
		"gas":                      {"GET", server.GasPriceURL(), "", 200, `{"data":{"result":"3000000000"}}`},
		"bridge that gets no JSON": {"POST", server.BridgeURL("node-1"), `{`, 400, "must be a JSON object"},
		"bridge that gets a list":  {"POST", server.BridgeURL("node-1"), `[]`, 400, "must be a JSON object"},
		"bridge with too much": {"POST", server.BridgeURL("node-1"), `{"a":"` + strings.Repeat("x", 70_000),
			400, "too large"},
		"bridge asked like a price":   {"GET", server.BridgeURL("node-1"), "", 405, ""},
		"price of no node":            {"GET", server.PriceURL(""), "", 404, ""},
		"a path that does not exist ": {"GET", server.base + "/", "", 404, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequest(test.method, test.url, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.Contains(string(body), test.want) {
				t.Errorf("got %s with %q, want %d with %q", response.Status, body, test.status, test.want)
			}
		})
	}
}

// TestServerStandsStill proves that a fixed price keeps its digits and its type, for tasks and bridges.
func TestServerStandsStill(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	server, err := Start(7, "1565616210741547008")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, node := range []string{"node-0", "node-1"} {
		fetched, err := http.Get(server.PriceURL(node))
		if err != nil {
			t.Fatal(err)
		}
		bridged, err := http.Post(server.BridgeURL(node), "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, response := range []*http.Response{fetched, bridged} {
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if want := `{"data":{"result":1565616210741547008}}` + "\n"; err != nil || string(body) != want {
				t.Errorf("%s answers %q (%v), want %q", response.Request.URL, body, err, want)
			}
		}
	}
}

// TestWalk proves that a seed fixes every price, that prices move with time alone, and that noise stays noise.
func TestWalk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nodes := []string{"node-0", "node-1", "node-2"}
		see := func(w *walk) (all []string) {
			for _, node := range nodes {
				all = append(all, w.price(node))
			}
			return all
		}
		a, b, other := newWalk(1, time.Now), newWalk(1, time.Now), newWalk(2, time.Now)
		first := see(a)
		if diff := cmp.Diff(first, see(a)); diff != "" {
			t.Errorf("a price moved without time (-first +second):\n%s", diff)
		}
		if first[0] == first[1] || first[1] == first[2] {
			t.Errorf("nodes see the same price: %v", first)
		}
		time.Sleep(50 * step)
		late := see(a)
		if diff := cmp.Diff(late, see(b)); diff != "" {
			t.Errorf("one seed gives two prices (-first +second):\n%s", diff)
		}
		if cmp.Equal(late, see(other)) || cmp.Equal(late, first) {
			t.Errorf("the price stands still: %v at first, %v later, %v with another seed", first, late, see(other))
		}
		for _, node := range nodes {
			seen, ok := new(big.Rat).SetString(a.price(node))
			if !ok {
				t.Fatalf("%q is not a number", a.price(node))
			}
			ratio, _ := seen.Quo(seen, big.NewRat(a.value, unit)).Float64()
			if ratio < 1-0.0004 || ratio > 1+0.0004 {
				t.Errorf("%s sees %v times the price, want within 0.04 %%", node, ratio)
			}
		}
	})
}

func TestWalkStaysAboveZero(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWalk(3, time.Now)
		w.value = lowest
		for range 1000 {
			time.Sleep(step)
			if w.price("node-0"); w.value < lowest {
				t.Fatalf("the price fell to %d units", w.value)
			}
		}
	})
}

func TestCheckSource(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	const path = "data,result"
	tests := map[string]struct {
		status int
		body   string
		want   string // in the error; empty: none
	}{
		"string":         {200, `{"data":{"result":"12.5"}}`, ""},
		"number":         {200, `{"data":{"result":1e3}}`, ""},
		"not found":      {404, ``, "it answered 404"},
		"no JSON":        {200, `<html>`, "is not JSON"},
		"no such key":    {200, `{"data":{"price":1}}`, `no key "result" of the path "data,result"`},
		"no object":      {200, `{"data":[1]}`, `no object that could hold the key "result"`},
		"not a number":   {200, `{"data":{"result":"high"}}`, "no number at the path"},
		"nothing at all": {200, `null`, `no object that could hold the key "data"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			err := CheckSource(t.Context(), server.URL, path)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	for _, url := range []string{`http://a/"`, `http://a/\`, "http://a/$(b)", "http://a/\n"} {
		if err := CheckSource(t.Context(), url, path); err == nil || !strings.Contains(err.Error(), "cannot hold") {
			t.Errorf("%q: got error %v, want one that says what a job cannot hold", url, err)
		}
	}
	t.Run("unreachable", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := CheckSource(ctx, "http://127.0.0.1:1/", path)
		if err == nil || !strings.Contains(err.Error(), "check that it runs") {
			t.Errorf("got error %v, want one that says to check that it runs", err)
		}
	})
}
