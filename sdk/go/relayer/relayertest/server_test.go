package relayertest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestServerWaitsForItsScripts checks that no script runs when its test is over, and what it uses is closed.
func TestServerWaitsForItsScripts(t *testing.T) {
	t.Parallel()
	var over atomic.Bool
	var calling sync.WaitGroup
	t.Run("test", func(t *testing.T) {
		s := relayertest.NewServer(t, "")
		begun := make(chan struct{})
		s.Answer("any", func(json.RawMessage) (any, error) {
			close(begun)
			<-t.Context().Done()
			time.Sleep(50 * time.Millisecond) // what a script may take that is not waited for
			over.Store(true)
			return true, nil
		})
		calling.Go(func() {
			response, err := http.Post(s.HTTPURL, "application/json", strings.NewReader(`{"method": "any"}`))
			if err == nil {
				_ = response.Body.Close()
			}
		})
		<-begun
	})
	if !over.Load() {
		t.Error("the test is over, and its script still runs")
	}
	calling.Wait()
}
