package starknet_test

import (
	"testing"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestFirstCallsWait checks that calls which come before the first answer of the node wait for it.
func TestFirstCallsWait(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	f.configure("a")
	x := newFixture(t)
	server := relayertest.NewServer(t, d.url)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(settings("", server.HTTPURL))
	p, _ := x.provider(chain, "p", f.address, o.accounts[0], o.transmitters[0])
	relayertest.FirstCallsWait(t, server, p, "no RPC node serves: n0 ", "LatestRoundRequested")
}
