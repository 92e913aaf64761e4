package endpoint

import (
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestRests checks that how long a node wants to be left alone reaches whoever chooses among nodes.
func TestRests(t *testing.T) {
	t.Parallel()
	relayertest.Rests(t, func(ctx context.Context, url string) string {
		_, err := NewDriver(Settings{
			HTTPURL: url, ChainID: big.NewInt(1), PollInterval: time.Second, Timeout: time.Minute, Contracts: &Contracts{},
		}).Connect(ctx)
		return relayer.Reason(err)
	})
}
