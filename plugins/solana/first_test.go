package solana_test

import (
	"testing"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestFirstCallsWait checks that calls which come before the first answer of the node wait for it.
func TestFirstCallsWait(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	x := newFixture(t)
	server := relayertest.NewServer(t, d.Nodes[0].RPC)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(settings("", devnode{RPC: server.HTTPURL}))
	p, _ := x.provider(d, chain, "p", 0, d.Feeds[0].State)
	relayertest.FirstCallsWait(t, server, p, "no RPC node serves: n0 ")
}
