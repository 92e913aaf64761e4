package endpoint

import (
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// TestRests holds that how long a node wants to be left alone reaches whoever chooses among nodes.
func TestRests(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	d := NewDriver(Settings{
		HTTPURL: server.URL, ChainID: big.NewInt(1), PollInterval: time.Second, Timeout: 5 * time.Second, Contracts: &Contracts{},
	})
	const want = "answers with HTTP status 429: it limits the rate of requests; it asks to be left alone for 7s"
	if _, err := d.Connect(t.Context()); relayer.Reason(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
