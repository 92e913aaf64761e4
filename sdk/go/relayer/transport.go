package relayer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Transport reads RPC nodes' answers for a client of JSON-RPC over HTTP, so that all relayers treat them the same:
//
//   - An answer has at most that many MiB, as Limited checks.
//   - A JSON-RPC error is an answer, whatever its HTTP status. It reaches the client with status 200, because clients
//     read no other answer's body.
//   - A status about the server itself (it wants a key or money, limits the rate of requests or is down) is an error,
//     StatusCode, with the text of the body's JSON-RPC error, if there is one.
//   - Any other status is an error, StatusCode: its body may be a page.
//   - Status 429 and 402, and any error with a Retry-After, a JSON-RPC error too, are marked with Throttled.
func Transport(inner http.RoundTripper, mebibytes int64) http.RoundTripper {
	return transport{inner, mebibytes}
}

// mostIdle is how many connections to a node are kept while nobody uses them: as many calls as are often made at once.
const mostIdle = 32

// Connections returns a transport for one client of an RPC node, so that the client can end its connections. It is like
// the default transport, but keeps more idle connections: the default keeps two and would open all others again for
// each block.
func Connections() *http.Transport {
	connections := http.DefaultTransport.(*http.Transport).Clone()
	connections.MaxIdleConnsPerHost = mostIdle
	return connections
}

type transport struct {
	http.RoundTripper
	most int64 // MiB
}

// redirects reports whether http.Client follows an answer.
func redirects(response *http.Response) bool {
	return response.StatusCode/100 == 3 && response.Header.Get("Location") != ""
}

// longestError is how many bytes are read of an answer whose status is not 2xx.
const longestError = 1 << 20

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	after, good := retryAfter(response.Header, time.Now()), response.StatusCode/100 == 2
	if redirects(response) || good && after == 0 {
		response.Body = struct {
			io.Reader
			io.Closer
		}{Limited(response.Body, t.most), response.Body}
		return response, nil
	}
	defer response.Body.Close()
	most := io.LimitReader(response.Body, longestError)
	if good {
		most = Limited(response.Body, t.most)
	}
	body, err := io.ReadAll(most)
	words, isError := errorWords(body)
	switch {
	case good && err != nil:
		return nil, err
	case isError && after > 0 && !speaksOfItself(response.StatusCode):
		return nil, Throttled(Said("answers with the error: "+words), after)
	case good, err == nil && isError && !speaksOfItself(response.StatusCode):
		response.StatusCode, response.Status = http.StatusOK, "200 OK"
		response.ContentLength = int64(len(body))
		response.Body = io.NopCloser(bytes.NewReader(body))
		return response, nil
	}
	fault := error(StatusCode(response.StatusCode))
	if words != "" { // still a StatusCode: the words are the server's own, and no answer to a call
		fault = fmt.Errorf("%w (%w)", Said(Reason(fault)+" and the error: "+words), fault)
	}
	switch {
	case after > 0,
		response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusPaymentRequired:
		return nil, Throttled(fault, after)
	default:
		return nil, fault
	}
}

// CloseIdleConnections implements the interface that http.Client's method of that name looks for.
func (t transport) CloseIdleConnections() {
	if inner, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		inner.CloseIdleConnections()
	}
}

// speaksOfItself reports whether by its status a server, or a proxy before it, says something of itself and not of a
// call.
func speaksOfItself(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// errorWords finds the message of a JSON-RPC error, or of the first of a batch.
func errorWords(body []byte) (words string, isError bool) {
	type answer struct {
		Error *struct {
			Code    *json.Number `json:"code"`
			Message string       `json:"message"`
		} `json:"error"`
	}
	var one answer
	if json.Unmarshal(body, &one) != nil {
		var many []answer
		if json.Unmarshal(body, &many) != nil || len(many) == 0 {
			return "", false
		}
		one = many[0]
	}
	if one.Error == nil || one.Error.Code == nil && one.Error.Message == "" {
		return "", false
	}
	return one.Error.Message, true
}

// retryAfter is how long a server asks to be left alone: in seconds, or until a time, which is compared with the
// server's own clock if the answer has that.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(longestRest/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return longestRest
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return max(0, until.Sub(now))
}

// longestRest bounds how long a node is left alone: feeds must go on soon after an operator has paid, or a day has
// begun.
const longestRest = time.Minute

type throttled struct {
	error
	after time.Duration
}

func (t throttled) Unwrap() error { return t.error }

// Throttled marks an error as a node's answer that it is asked too often. A Pool leaves the node alone for the given
// time, a minute at most; 0 means that the node gives none.
func Throttled(err error, after time.Duration) error {
	return throttled{err, min(max(after, 0), longestRest)}
}

// restOf is how long the node of an error asks to be left alone.
func restOf(err error) time.Duration {
	var t throttled
	errors.As(err, &t)
	return t.after
}

// withRest adds to a reason that the node is left alone for a while.
func withRest(reason string, err error) string {
	rest := restOf(err)
	if rest == 0 {
		return reason
	}
	return reason + "; it asks to be left alone for " + cmp.Or(rest.Round(time.Second), time.Second).String()
}
