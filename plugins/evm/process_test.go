package evm_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
)

// TestProcess runs the plugin as a process, kills it between acceptance and confirmation, and finds each report on the
// chain once.
func TestProcess(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	me := address(o.transmitters[0])
	d := newDevchain(t, me)
	f := newFeed(d, o)
	digest := f.configure("a")
	x := newFixture(t, o.transmitters[0])
	ctx := t.Context()
	process := x.Launch("evm", "1337", settings("", [2]string{strings.Replace(d.url, "http", "ws", 1), d.url}))
	p := process.Provider(job("", f.address, me))
	for epoch := uint32(1); epoch <= 3; epoch++ {
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		_, err := p.Transmit(bounded, f.report(digest, epoch, 1, int64(epoch)))
		stop()
		must(t, err)
		must(t, syscall.Kill(process.Plugin.Status().PID, syscall.SIGKILL))
		d.mineUntil("the report is in the contract", func() bool { e, _, _ := f.latest(); return e == epoch })
		eventually(t, "the provider in the next generation answers", func() bool {
			r, err := p.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err == nil && r.GetEpoch() == epoch
		})
	}
	d.mineUntil("the store is empty", func() bool { return len(x.Keys()) == 0 })
	if n := d.nonce(me); n != 3 {
		t.Errorf("%d transactions for three reports", n)
	}
	if _, err := process.Chain.Replay(ctx,
		&relayerv1.ReplayRequest{FromBlock: 1 << 40}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Replay above the head: %v", err)
	}
	process.Exposes(`loop_relayer_head{chain_id="1337",node="n0",relay="evm"}`)
	must(t, p.Release(ctx))
	must(t, process.Chain.Release(ctx))
}
