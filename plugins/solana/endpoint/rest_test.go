package endpoint

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

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
		URL: server.URL, ChainID: "localnet", Commitment: rpc.CommitmentConfirmed, PollInterval: time.Second, Timeout: 5 * time.Second,
		Accounts: &relayer.Followed[sol.PublicKey]{},
	})
	const want = "answers with HTTP status 429: it limits the rate of requests; it asks to be left alone for 7s"
	if _, err := d.Connect(t.Context()); relayer.Reason(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
