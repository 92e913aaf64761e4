package cli

import (
	"bytes"
	"math/big"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestChainTables(t *testing.T) {
	t.Parallel()
	chains := []*nodev1.Chain{
		{
			Relay: "evm", Id: "1", Plugin: "evm", State: nodev1.State_STATE_DEGRADED, LatestBlock: 100,
			StateSince: timestamppb.New(time.Now().Add(-40 * time.Second)),
			Reason:     "1 of its 2 RPC nodes do not serve as they should: b refuses connections", Remedy: "see that they " +
				"run",
			Nodes: []*nodev1.RpcNode{
				{Name: "a", Serves: true, LatestBlock: 100, Latency: durationpb.New(12 * time.Millisecond)},
				{Name: "b", Reason: "refuses connections"},
			},
			Accounts: []*nodev1.ChainAccount{{
				Account: "0xA", Balance: wire.BigInt(big.NewInt(1_250_000_000_000_000_000)), Decimals: 18,
				OldestWaiting: durationpb.New(20 * time.Second),
			}},
		},
		{
			Relay:      "solana",
			Id:         "localnet",
			Plugin:     "solana",
			State:      nodev1.State_STATE_RUNNING,
			StateSince: timestamppb.Now(),
		},
	}
	const want = `RELAY   CHAIN     PLUGIN  BLOCK  FOR  STATE
evm     1         evm     100    40s  degraded: 1 of its 2 RPC nodes do not serve as they should: b refuses connections; see that they run
solana  localnet  solana  -      0s   running

RPC NODE  CHAIN  BLOCK  LATENCY  STATE
a         evm 1  100    12ms     serves
b         evm 1  -      -        does not serve: refuses connections

ACCOUNT  CHAIN  BALANCE  OLDEST WAITS  TROUBLE
0xA      evm 1  1.25     20s           -
`
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	chainTables(w, chains)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCoins(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		amount   int64
		decimals uint32
	}{
		"0": {0, 18}, "1": {1_000_000_000, 9}, "0.000000001": {1, 9}, "12.5": {12_500, 3}, "7": {7, 0}, "-0.5": {-500, 3},
	} {
		if got := coins(big.NewInt(c.amount), c.decimals); got != want {
			t.Errorf("%d with %d decimals is %s, want %s", c.amount, c.decimals, got, want)
		}
	}
}
