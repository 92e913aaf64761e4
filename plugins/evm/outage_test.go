package evm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	ocrtypes "github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// resumes is the time within which a feed goes on after the return of its only node, or beside another one.
const resumes = 3 * time.Second

// blockTime is how often a chain that goes on makes a block.
const blockTime = 100 * time.Millisecond

// faulty is a feed whose node, or the first of two, has a fault of its own.
type faulty struct {
	*feed
	name   string
	fault  relayertest.Fault
	me     common.Address
	digest ocrtypes.ConfigDigest
	server *relayertest.Server
	x      *fixture
	p      relayerv1loop.Provider
}

// faultyFeeds makes a feed for each fault, all on one chain and each with a relayer, an account and a node of its own,
// and a second node that works, if so. Timings are those of the default configuration.
func faultyFeeds(t *testing.T, faults map[string]relayertest.Fault, second bool) (*devchain, []*faulty) {
	t.Helper()
	var (
		funded []common.Address
		all    []*faulty
	)
	for name, fault := range faults {
		o := newOracles(t)
		all = append(all,
			&faulty{name: name, fault: fault, feed: &feed{oracles: o}, me: address(o.transmitters[0]),
				x: newFixture(t, o.transmitters[0])})
		funded = append(funded, all[len(all)-1].me)
	}
	d := newDevchain(t, funded...)
	for i, deployed := range newFeeds(d, nil, len(all)) {
		f := all[i]
		deployed.oracles = f.oracles
		f.feed = deployed
		f.digest = f.configure("a")
		f.server = relayertest.NewServer(t, d.url)
		nodes := [][2]string{{f.server.WSURL, f.server.HTTPURL}}
		if second {
			nodes = append(nodes, [2]string{strings.Replace(d.url, "http", "ws", 1), d.url})
		}
		defaults := strings.NewReplacer("PollInterval = '50ms'\n", "", "RequestTimeout = '30s'\n", "")
		chain, _ := f.x.chain(defaults.Replace(settings("", nodes...)))
		f.p, _ = f.x.provider(chain, "p", f.address, f.me)
		_, err := f.p.LatestConfigDetails(t.Context(), nil)
		must(t, err)
	}
	return d, all
}

// transmit hands a report to every feed.
func transmit(t *testing.T, all []*faulty, epoch uint32) {
	t.Helper()
	for _, f := range all {
		_, err := f.p.Transmit(t.Context(), f.report(f.digest, epoch, 1, int64(epoch)))
		must(t, err)
	}
}

// shows reports whether a report is in the contract and the relayer's cache has it.
func (f *faulty) shows(epoch uint32) bool {
	if e, _, answer := f.latest(); e != epoch || answer != int64(epoch) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	latest, err := f.p.LatestTransmissionDetails(ctx, &medianv1.LatestTransmissionDetailsRequest{})
	return err == nil && latest.GetTimestamp().GetEpoch() == epoch &&
		wire.Int(latest.GetLatestAnswer()).Int64() == int64(epoch)
}

// usual is how long the same takes all feeds on this machine without any fault: a limit may be missed by several times
// as much, since the tests of other packages run at the same time.
func usual(t *testing.T, d *devchain, all []*faulty) time.Duration {
	t.Helper()
	began := time.Now()
	transmit(t, all, 1)
	resume(t, d, all, 1, time.Minute, false)
	return 4 * time.Since(began)
}

// resume checks that all feeds go on within the time given, on a chain that makes blocks, or that makes one when all
// have sent their reports, so that none wakes another.
func resume(t *testing.T, d *devchain, all []*faulty, epoch uint32, limit time.Duration, blocks bool) {
	t.Helper()
	left := map[string]*faulty{}
	for _, f := range all {
		left[f.name] = f
	}
	var last time.Time
	relayertest.Within(t, limit,
		fmt.Sprintf("the report of epoch %d is in every contract and every cache; see above in which", epoch), func() bool {
			sent, mined := true, true
			for name, f := range left {
				pending, err := d.client().PendingNonceAt(context.Background(), f.me)
				must(t, err)
				sent, mined = sent && pending >= uint64(epoch), mined && d.nonce(f.me) >= uint64(epoch)
				if f.shows(epoch) {
					t.Logf("epoch %d: %s resumed", epoch, name)
					delete(left, name)
				}
			}
			if blocks && time.Since(last) > blockTime || !blocks && sent && !mined {
				d.mine()
				last = time.Now()
			}
			return len(left) == 0
		})
}

func settled(t *testing.T, d *devchain, all []*faulty, reports uint64) {
	t.Helper()
	d.mineUntil("every store is empty", func() bool {
		for _, f := range all {
			if len(f.x.Keys()) > 0 {
				return false
			}
		}
		return true
	})
	for _, f := range all {
		if n := d.nonce(f.me); n != reports {
			t.Errorf("%s: %d transactions for %d reports", f.name, n, reports)
		}
	}
}

// TestOutage takes the only node of each feed away for ten seconds, which is as long as pauses between tries would
// grow: what was accepted meanwhile is in the contract within three of its return, whether or not the chain makes
// blocks.
func TestOutage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	for name, c := range map[string]struct {
		faults map[string]relayertest.Fault
		blocks bool
	}{
		"of a chain at rest": {map[string]relayertest.Fault{
			"down": relayertest.Down, "hangs": relayertest.Hang, "HTML": relayertest.HTML, "garbage": relayertest.Garbage,
			"limits": relayertest.Limit,
		}, false},
		"of a chain that goes on": {map[string]relayertest.Fault{
			"down": relayertest.Down, "hangs": relayertest.Hang, "HTML": relayertest.HTML, "garbage": relayertest.Garbage,
			"lags": relayertest.Lag,
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, all := faultyFeeds(t, c.faults, false)
			limit := resumes + usual(t, d, all)
			for _, f := range all {
				f.server.SetFault(f.fault)
			}
			transmit(t, all, 2)
			for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(blockTime) { // the outage itself
				if c.blocks {
					d.mine()
				}
			}
			for _, f := range all {
				f.server.SetFault(relayertest.None)
			}
			resume(t, d, all, 2, limit, c.blocks)
			transmit(t, all, 3)
			resume(t, d, all, 3, limit, c.blocks)
			settled(t, d, all, 3)
		})
	}
}

// TestSecondNode takes the first of two nodes away: each feed goes on at once, and still once the first is back. One
// call has to find out that a node hangs, which takes a quarter of RequestTimeout; those after it do not.
func TestSecondNode(t *testing.T) {
	t.Parallel()
	for name, c := range relayertest.FirstFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, all := faultyFeeds(t, c.Faults, true)
			limit := resumes + usual(t, d, all)
			for _, f := range all {
				f.server.SetFault(f.fault)
			}
			transmit(t, all, 2)
			resume(t, d, all, 2, limit+c.Wait, true)
			transmit(t, all, 3)
			resume(t, d, all, 3, limit, true)
			for _, f := range all {
				f.server.SetFault(relayertest.None)
			}
			transmit(t, all, 4)
			resume(t, d, all, 4, limit, true)
			settled(t, d, all, 4)
		})
	}
}
