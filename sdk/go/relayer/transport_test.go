package relayer

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// canned is a server that answers everything alike.
type canned struct {
	status int
	header http.Header
	body   string
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}

func TestTransport(t *testing.T) {
	t.Parallel()
	const low = `{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"nonce too low"}}`
	type outcome struct {
		Body, Reason string
		Rest         time.Duration
	}
	passed := func(body string) outcome { return outcome{Body: body} }
	failed := func(reason string) outcome { return outcome{Reason: reason} }
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	const limits = "answers with HTTP status 429: it limits the rate of requests"
	cases := map[string]struct {
		answer canned
		want   outcome
	}{
		"result": {canned{status: 200, body: `{"result":1}`}, passed(`{"result":1}`)},
		"error":  {canned{status: 200, body: low}, passed(low)},
		"too long": {canned{status: 200, body: strings.Repeat(" ", 1<<20+1)},
			failed("answers with more than 1 MiB")},
		"error with 400":    {canned{status: 400, body: low}, passed(low)},
		"error with 404":    {canned{status: 404, body: low}, passed(low)},
		"error with 413":    {canned{status: 413, body: low}, passed(low)},
		"error with 500":    {canned{status: 500, body: low}, passed(low)},
		"errors of a batch": {canned{status: 400, body: "[" + low + "]"}, passed("[" + low + "]")},
		"page with 400":     {canned{status: 400, body: "<html>secret"}, failed("answers with HTTP status 400")},
		"page with 502":     {canned{status: 502, body: "<html>secret"}, failed("answers with HTTP status 502")},
		"no error with 400": {canned{status: 400, body: `{"error":null}`}, failed("answers with HTTP status 400")},
		"a word for an error": {
			canned{status: 404, body: `{"error":"no such path"}`}, failed("answers with HTTP status 404"),
		},
		"no key": {
			canned{status: 401, body: `{"error":{"code":-32600,"message":"Must be authenticated!"}}`},
			failed("answers with HTTP status 401 and the error: Must be authenticated!"),
		},
		"no more money": {
			canned{status: 402, body: `{"error":{"code":402,"message":"daily request count exceeded"}}`},
			failed("answers with HTTP status 402 and the error: daily request count exceeded"),
		},
		"an address in the words": {
			canned{status: 503, body: `{"error":{"code":1,"message":"see https://host/key"}}`},
			failed("answers with HTTP status 503 and the error: see [address]"),
		},
		"limits": {canned{status: 429}, failed(limits)},
		"limits for seconds": {
			canned{status: 429, header: header("Retry-After", "12")},
			outcome{Reason: limits + "; it asks to be left alone for 12s", Rest: 12 * time.Second},
		},
		"limits until a time of its own clock": {
			canned{status: 429, header: header(
				"Retry-After", "Wed, 21 Oct 2015 07:28:30 GMT", "Date", "Wed, 21 Oct 2015 07:28:00 GMT")},
			outcome{Reason: limits + "; it asks to be left alone for 30s", Rest: 30 * time.Second},
		},
		"limits for a day": {
			canned{status: 429, header: header("Retry-After", "86400")},
			outcome{Reason: limits + "; it asks to be left alone for 1m0s", Rest: time.Minute},
		},
		"limits for ever": {
			canned{status: 429, header: header("Retry-After", "99999999999999999999")},
			outcome{Reason: limits + "; it asks to be left alone for 1m0s", Rest: time.Minute},
		},
		"limits until a time that has passed": {
			canned{status: 429, header: header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")}, failed(limits),
		},
		"limits for an unknown time": {
			canned{status: 429, header: header("Retry-After", "soon")}, failed(limits),
		},
		"limits in a body": {
			canned{status: 200, header: header("Retry-After", "5"), body: low},
			outcome{Reason: "answers with the error: nonce too low; it asks to be left alone for 5s", Rest: 5 * time.Second},
		},
		"limits in a body with 400": {
			canned{status: 400, header: header("Retry-After", "5"), body: low},
			outcome{Reason: "answers with the error: nonce too low; it asks to be left alone for 5s", Rest: 5 * time.Second},
		},
		"a result with a time to rest": {
			canned{status: 200, header: header("Retry-After", "5"), body: `{"result":1}`}, passed(`{"result":1}`),
		},
		"too long, with a time to rest": {
			canned{status: 200, header: header("Retry-After", "5"), body: strings.Repeat(" ", 1<<20+1)},
			failed("answers with more than 1 MiB"),
		},
		"is down for a while": {
			canned{status: 503, header: header("Retry-After", "5"), body: low},
			outcome{
				Reason: "answers with HTTP status 503 and the error: nonce too low; it asks to be left alone for 5s",
				Rest:   5 * time.Second,
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.answer.header == nil {
				c.answer.header = http.Header{}
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://secret.example", nil)
			if err != nil {
				t.Fatal(err)
			}
			var got outcome
			response, err := (&http.Client{Transport: Transport(c.answer, 1)}).Do(request)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(response.Body)
				got.Body = string(body)
				if response.StatusCode != http.StatusOK {
					t.Errorf("status %d", response.StatusCode)
				}
			}
			if got.Reason, got.Rest = Reason(err), restOf(err); got.Reason != "" {
				got.Body = ""
			}
			var limited throttled
			if status := c.answer.status; errors.As(err, &limited) != (status == 402 || status == 429 || got.Rest > 0) {
				t.Errorf("%v is taken for a limit, or not taken for one", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTransportRedirects checks that a server which has moved is found.
func TestTransportRedirects(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusPermanentRedirect))
	mux.HandleFunc("/new", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/nowhere", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	server := httptest.NewServer(mux)
	defer server.Close()
	client := &http.Client{Transport: Transport(server.Client().Transport, 1)}
	for path, want := range map[string]string{"/old": "hello", "/nowhere": "answers with HTTP status 302"} {
		response, err := client.Post(server.URL+path, "text/plain", strings.NewReader("hello"))
		got := Reason(err)
		if err == nil {
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			got = string(body)
			_ = response.Body.Close()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
