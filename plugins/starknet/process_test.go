package starknet_test

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/plugins/stark"
)

// TestProcess runs the plugin as a process, kills it between acceptance and confirmation, and finds each report on the
// chain once.
func TestProcess(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me, key := o.accounts[0], o.transmitters[0]
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, key)
	ctx := t.Context()
	process := x.Launch("starknet", fakeChainID, settings("", d.url))
	p := process.Provider(job("", f.address, me, key))
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		// half of them die with the transaction in the node's mempool, half before it is there for certain
		late := epoch%2 == 0
		d.set(func() { d.hold = late })
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err := p.Transmit(bounded, f.report(digest, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if late {
			eventually(t, "the node has the transaction", func() bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				return len(d.pool) == 1
			})
		}
		must(t, syscall.Kill(process.Plugin.Status().PID, syscall.SIGKILL))
		d.set(func() { d.hold = false })
		d.mineUntil("the report is in the contract", func() bool { e, _, _ := f.latest(); return e == epoch })
		d.mine()
		eventually(t, "the provider in the next generation answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n, landed := d.nonce(me), f.accepted(); n != epochs || landed != epochs {
		t.Errorf("%d transactions and %d reports in the contract, want %d of each", n, landed, epochs)
	}
	if _, err := process.Chain.Replay(ctx,
		&relayerv1.ReplayRequest{FromBlock: 1 << 40}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	process.Exposes(`loop_relayer_head{chain_id="SN_FAKE",node="n0",relay="starknet"}`)
	must(t, p.Release(ctx))
	must(t, process.Chain.Release(ctx))
}

// TestDevchainProcess does the same on the network that was not written with this relayer: processes die with a report
// in the Store alone, and with its transaction on its way.
func TestDevchainProcess(t *testing.T) {
	t.Parallel()
	d := newDevchain(t, "")
	me, feed := d.Oracles[0], d.Feeds[0]
	digest, err := hex.DecodeString(strings.TrimPrefix(feed.Digest, "0x"))
	must(t, err)
	x := newFixture(t, me.Transmitter.Key)
	ctx := t.Context()
	process := x.Launch("starknet", d.ChainID, d.settings("", d.Nodes[0]))
	p := process.Provider(job("", feed.Address, me.Account, me.Transmitter.Key))
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		late := epoch%2 == 0 // with the transaction on its way
		d.admin(nil, "loop_hold", late)
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err = p.Transmit(bounded,
			report(t, []*stark.Key{d.Oracles[0].Signer.Key, d.Oracles[1].Signer.Key}, [32]byte(digest), epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if late {
			eventually(t, "a transaction is signed", func() bool {
				return slices.ContainsFunc(x.Keys(), func(key string) bool { return strings.Contains(key, "/flight/") })
			})
		}
		must(t, syscall.Kill(process.Plugin.Status().PID, syscall.SIGKILL))
		d.admin(nil, "loop_hold", false)
		eventually(t, "the report is in the contract, and the provider in the next generation shows it", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	eventually(t, "the store is empty", func() bool { return len(x.Keys()) == 0 })
	for at, times := range d.landed(feed.Address) {
		if times != 1 {
			t.Errorf("epoch %d landed %d times", at>>8, times)
		}
	}
	if landed := len(d.landed(feed.Address)); landed != epochs {
		t.Errorf("%d reports landed, want %d", landed, epochs)
	}
	must(t, p.Release(ctx))
	must(t, process.Chain.Release(ctx))
}
