package evm_test

import (
	"testing"

	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestFirstCallsWait checks that calls which come before the first answer of the node wait for it.
func TestFirstCallsWait(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	f := newFeed(d, newOracles(t))
	f.configure("a")
	x := newFixture(t)
	server := relayertest.NewServer(t, d.url)
	server.SetFault(relayertest.Hang)
	chain, _ := x.chain(impatient(settings("", [2]string{server.WSURL, server.HTTPURL})))
	p, _ := x.provider(chain, "p", f.address, f.address)
	relayertest.FirstCallsWait(t, server, p, "has not been read yet: no RPC node serves: n0 ")
}
