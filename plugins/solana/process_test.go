package solana_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// TestProcess runs the plugin as a process, kills it between acceptance and confirmation, and finds each report on the
// chain once.
func TestProcess(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	key := d.Oracles[0].Transmitter.PrivateKey
	x := newFixture(t, key)
	ctx := t.Context()
	process := x.Launch("solana", "localnet", settings("", d.Nodes...))
	p := process.Provider(d.job("", 0, key.PublicKey()))
	const epochs = 4
	for epoch := uint32(1); epoch <= epochs; epoch++ {
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err := p.Transmit(bounded, d.report(0, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		if epoch%2 == 0 { // killed once the transaction is signed, and before that at once
			eventually(t, "a transaction is signed, or through", func() bool { n := len(x.Keys()); return n == 2 || n == 0 })
		}
		must(t, syscall.Kill(process.Plugin.Status().PID, syscall.SIGKILL))
		eventually(t, "the report is in the feed", func() bool { e, _, _ := d.latest(0); return e == epoch })
		eventually(t, "the provider in the next generation answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	eventually(t, "the store is empty", func() bool { return len(x.Keys()) == 0 })
	if succeeded, failed := d.landed(key.PublicKey()); succeeded != epochs || failed != 0 {
		t.Errorf("%d transactions succeeded and %d failed, for %d reports", succeeded, failed, epochs)
	}
	process.Exposes(`loop_relayer_head{chain_id="localnet",node="n0",relay="solana"}`)
	must(t, p.Release(ctx))
	must(t, process.Chain.Release(ctx))
}
