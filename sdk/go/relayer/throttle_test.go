package relayer

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// TestThrottleOf checks which errors are a provider's limit, and for how long the node is left alone then.
func TestThrottleOf(t *testing.T) {
	t.Parallel()
	const other, no = -32000, -1
	backoff := func(seconds any) any { return map[string]any{"backoff_seconds": seconds} }
	for name, c := range map[string]struct {
		code    int
		message string
		data    any
		rest    time.Duration // no: it is no limit
	}{
		"a code of HTTP":        {429, "", nil, 0},
		"money":                 {402, "upgrade to go on", nil, 0},
		"QuickNode":             {-32007, "50/second request limit reached", nil, 0},
		"QuickNode, words":      {0, "50/second request limit reached - reduce calls per second", nil, 0},
		"Chainstack, words":     {other, "You've exceeded the RPS limit available on the current plan.", nil, 0},
		"Alchemy, words":        {other, "Your app has exceeded its compute units per second capacity.", nil, 0},
		"Helius":                {-32429, "", nil, 0},
		"Helius, words":         {other, "max usage reached", nil, 0},
		"a quota":               {other, "You have EXCEEDED THE QUOTA of your plan", nil, 0},
		"not a limit":           {other, "nonce too low", nil, no},
		"a limit of the chain":  {other, "exceeded the CU limit of a transaction", nil, no},
		"as many as there are":  {other, "exceeded the maximum number of events", nil, no},
		"data alone":            {other, "", backoff(30.0), no},
		"a rest":                {-32005, "", map[string]any{"rate": backoff(30.0)}, 30 * time.Second},
		"a rest, raw":           {429, "", json.RawMessage(`{"rate":{"backoff_seconds":30}}`), 30 * time.Second},
		"a rest, of old":        {429, "", backoff(json.Number("0.5")), time.Second / 2},
		"a rest beyond reason":  {429, "", backoff(1e300), time.Minute},
		"a rest that has ended": {429, "", backoff(-1.0), 0},
		"data in another shape": {429, "", "backoff_seconds", 0},
		"no JSON":               {429, "", json.RawMessage(`{`), 0},
	} {
		err := ThrottleOf(c.code, c.message, c.data)
		if (err == nil) != (c.rest == no) || err != nil && (restOf(err) != c.rest || IsAnswered(err)) {
			t.Errorf("%s: %v, with a rest of %s", name, err, restOf(err))
		}
		var status StatusCode
		if errors.As(err, &status) != (c.code > 0) || int(status) != max(c.code, 0) {
			t.Errorf("%s: %v has the status %d", name, err, status)
		}
	}
	const want = "answers with the error: too many requests, see [address]"
	if err := ThrottleOf(0, "too many requests, see https://host/key", nil); Reason(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
