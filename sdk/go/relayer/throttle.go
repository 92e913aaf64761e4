package relayer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// throttleCodes are the codes of JSON-RPC errors by which providers of RPC nodes limit what their customers ask for.
var throttleCodes = []int{
	http.StatusPaymentRequired, http.StatusTooManyRequests, // as HTTP has them: Infura, Alchemy, Triton
	-32005, // EIP-1474: limit exceeded
	-32007, // QuickNode: requests in a second
	-32012, // QuickNode: credits
	-32429, // Helius
}

// phrase is a text in the errors of providers, in lower case, and whose errors have it.
type phrase struct{ text, whose string }

// throttleWords are what providers say when they limit what their customers ask for. A provider says the same on all
// chains that it serves.
var throttleWords = []phrase{
	{"rate limit", "Base: over rate limit; Helius: rate limited; zkSync and many more"},
	{"rate exceeded", "Infura: project ID request rate exceeded"},
	{"too many request", "Ankr, Blast, Tatum, Solana's public nodes"},
	{"request limit reached", "QuickNode: 50/second request limit reached"},
	{"exceeded the rps limit", "Chainstack"},
	{"exceeded the quota", "several: you have exceeded the quota of the plan"},
	{"reached the usage limit", "several: you've reached the usage limit for your current plan"},
	{"max usage reached", "Helius, at the end of a month's credits"},
	{"compute units per second", "Alchemy"},
	{"throughput limit", "Alchemy, of old"},
	{"concurrent requests capacity", "Alchemy"},
	{"request count exceeded", "Infura: daily request count exceeded"},
	{"requests exceeded", "dRPC, GetBlock"},
	{"limit exceeded", "EIP-1474; Alchemy: monthly capacity limit exceeded"},
	{"capacity exceeded", "Cloudflare"},
}

// ThrottleOf looks for a provider's limit in a JSON-RPC error, that is, whether the node is asked too often or has
// answered all that is paid for. It returns nil for any other error, and otherwise a fault of the node, marked with
// Throttled, so that the limit has the same outcome as HTTP status 429 or 402. data is the error's data, as
// encoding/json decodes it or as raw JSON; the node is left alone for the time in it, if there is one. An error whose
// code is such a status is a StatusCode, too.
//
// A relayer must pass 0 for a code that means something else on its chain, and must not ask about errors that quote
// a contract or a transaction: these may have any words.
func ThrottleOf(code int, message string, data any) error {
	said := strings.ToLower(message)
	if !slices.Contains(throttleCodes, code) &&
		!slices.ContainsFunc(throttleWords, func(p phrase) bool { return strings.Contains(said, p.text) }) {
		return nil
	}
	fault := Said("answers with the error: " + message)
	if code == http.StatusPaymentRequired || code == http.StatusTooManyRequests {
		fault = fmt.Errorf("%w (%w)", fault, StatusCode(code)) // meant so: the words are the server's own
	}
	return Throttled(fault, backoffOf(data))
}

// backoffOf is how long a provider wants to be left alone, as Infura says it in an error's data, now and of old; 0 if
// the data do not say.
func backoffOf(data any) time.Duration {
	text, err := json.Marshal(data)
	if err != nil {
		return 0
	}
	var says struct {
		Seconds float64 `json:"backoff_seconds"`
		Rate    struct {
			Seconds float64 `json:"backoff_seconds"`
		} `json:"rate"`
	}
	_ = json.Unmarshal(text, &says) // data of another shape say nothing of it
	const day = 86_400              // more than a pool waits, and far from what a Duration cannot hold
	seconds := max(says.Seconds, says.Rate.Seconds, 0)
	return time.Duration(min(seconds, day) * float64(time.Second))
}
