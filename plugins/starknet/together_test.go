package starknet_test

import (
	"fmt"
	"strings"
	"testing"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
)

// TestFeedsShareTheirReads checks that all contracts are read in one request, however many there are, and that who
// transmitted to them is read as long as it is not known of all.
func TestFeedsShareTheirReads(t *testing.T) {
	t.Parallel()
	const feeds, turns = 12, 5
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, newest)
	x := newFixture(t, key)
	// Who transmitted is read in a page for each feed, within that period.
	chain, _ := x.chain(strings.Replace(settings("", d.url), "'50ms'", "'500ms'", 1))
	var providers []relayerv1loop.Provider
	var contracts []*feed
	for i := range feeds {
		f := newFeed(d, o)
		contracts = append(contracts, f)
		f.configure("a")
		p, _ := x.provider(chain, fmt.Sprint("p", i), f.address, me, key)
		providers = append(providers, p)
	}
	for _, p := range providers {
		eventually(t, "each contract is read", func() bool {
			config, err := p.LatestConfigDetails(t.Context(), &relayerv1.LatestConfigDetailsRequest{})
			return err == nil && config.GetChangedInBlock() > 0
		})
	}
	count := func() (views, requests int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.batched, d.batches
	}
	// until makes a block when the one before was read: what is many blocks old is not looked for any more.
	until := func(what string, holds func() bool) {
		t.Helper()
		eventually(t, what, func() bool {
			if holds() {
				return true
			}
			seen, err := providers[0].LatestBlockHeight(t.Context(), nil)
			newest := uint64(0)
			if d.set(func() { newest = d.number }); err == nil && seen.GetBlockHeight() == newest {
				d.mine()
			}
			return false
		})
	}
	views, requests := count()
	until("contracts are read again", func() bool { _, n := count(); return n >= requests+turns })
	nowViews, nowRequests := count()
	if got, want := nowViews-views, 2*feeds*(nowRequests-requests); got != want {
		t.Errorf("%d views in %d requests; want %d", got, nowRequests-requests, want)
	}
	d.set(func() {
		for _, f := range contracts {
			f.overtake()
		}
	})
	for _, p := range providers {
		until("who transmitted is known", func() bool {
			latest, err := p.LatestTransmissionDetails(t.Context(), nil)
			return err == nil && latest.GetTransmitter() == o.accounts[1].String()
		})
	}
	asked := func() (n int) { d.set(func() { n = d.calls["starknet_getEvents"] }); return n }
	before := asked()
	_, requests = count()
	until("contracts are read again", func() bool { _, n := count(); return n >= requests+turns })
	if n := asked() - before; n != 0 {
		t.Errorf("events are read %d times, and nothing is new", n)
	}
}
