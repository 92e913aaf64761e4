package endpoint

import (
	"context"
	"testing"
	"time"

	sol "github.com/gagliardetto/solana-go"
	"github.com/gagliardetto/solana-go/rpc"

	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestRests checks that how long a node wants to be left alone reaches whoever chooses among nodes.
func TestRests(t *testing.T) {
	t.Parallel()
	relayertest.Rests(t, func(ctx context.Context, url string) string {
		_, err := NewDriver(Settings{
			URL: url, ChainID: "localnet", Commitment: rpc.CommitmentConfirmed, PollInterval: time.Second,
			Timeout:  time.Minute,
			Accounts: &relayer.Followed[sol.PublicKey]{},
		}).Connect(ctx)
		return relayer.Reason(err)
	})
}
