package starknet_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/stark"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// resumes is the time within which a feed goes on after the return of its only node, or beside another one.
const resumes = 3 * time.Second

// faulty is a feed whose node, or the first of two, has a fault of its own.
type faulty struct {
	name   string
	fault  relayertest.Fault
	feed   stark.Felt
	digest [32]byte
	server *relayertest.Server
	x      *fixture
	p      relayerv1loop.Provider
}

// faultyFeeds makes a feed for each fault, at most six, all on one network and each with a relayer, an account and a
// node of its own, and a second node that works, if so. Timings are those of the default configuration, but that nodes
// are asked for their newest block each second and not every five: no sooner can it be seen that one lags, or that it
// does not any more.
func faultyFeeds(t *testing.T, faults map[string]relayertest.Fault, second bool) (d *devchain, all []*faulty) {
	t.Helper()
	d = newDevchain(t, "", "--oracles", "6", "--feeds", fmt.Sprint(len(faults)))
	for name, fault := range faults {
		feed, oracle := d.Feeds[len(all)], d.Oracles[len(all)]
		digest, err := hex.DecodeString(strings.TrimPrefix(feed.Digest, "0x"))
		must(t, err)
		f := &faulty{
			name: name, fault: fault, feed: feed.Address, digest: [32]byte(digest), server: relayertest.NewServer(t, d.Nodes[0]),
			x: newFixture(t, oracle.Transmitter.Key),
		}
		nodes := []string{f.server.HTTPURL}
		if second {
			nodes = append(nodes, d.Nodes[0])
		}
		defaults := strings.NewReplacer("'50ms'", "'1s'", patient, "", "ConfirmationPoll = '100ms'\n", "")
		chain, _ := f.x.Chain(d.ChainID, defaults.Replace(d.settings("", nodes...)))
		f.p, _ = f.x.Provider(chain, job("p", f.feed, oracle.Account, oracle.Transmitter.Key))
		_, err = f.p.LatestConfigDetails(t.Context(), nil)
		must(t, err)
		all = append(all, f)
	}
	return d, all
}

// transmit hands a report to every feed.
func transmit(d *devchain, all []*faulty, epoch uint32) {
	d.t.Helper()
	for _, f := range all {
		_, err := f.p.Transmit(d.t.Context(),
			report(d.t, []*stark.Key{d.Oracles[0].Signer.Key, d.Oracles[1].Signer.Key}, f.digest, epoch, 1, int64(epoch)))
		must(d.t, err)
	}
}

// resume checks that the reports of an epoch land within the time given.
func resume(d *devchain, all []*faulty, epoch uint32, limit time.Duration) {
	d.t.Helper()
	left := map[string]*faulty{}
	for _, f := range all {
		left[f.name] = f
	}
	relayertest.Within(d.t, limit, fmt.Sprintf("the report of epoch %d is in every contract; see above in which", epoch),
		func() bool {
			for name, f := range left {
				if d.landed(f.feed)[uint64(epoch)<<8|1] > 0 {
					d.t.Logf("epoch %d: %s resumed", epoch, name)
					delete(left, name)
				}
			}
			return len(left) == 0
		})
}

// usual is how long the same takes all feeds on this machine without any fault: a limit may be missed by several times
// as much, since the tests of other packages run at the same time.
func usual(d *devchain, all []*faulty) time.Duration {
	d.t.Helper()
	began := time.Now()
	transmit(d, all, 1)
	resume(d, all, 1, time.Minute)
	return 4 * time.Since(began)
}

// settled checks that each report landed once.
func settled(d *devchain, all []*faulty, reports int) {
	d.t.Helper()
	for _, f := range all {
		eventually(d.t, f.name+": the store is empty", func() bool { return len(f.x.Keys()) == 0 })
		landed := d.landed(f.feed)
		if len(landed) != reports {
			d.t.Errorf("%s: %d of %d reports landed", f.name, len(landed), reports)
		}
		for at, times := range landed {
			if times != 1 {
				d.t.Errorf("%s: epoch %d landed %d times", f.name, at>>8, times)
			}
		}
	}
}

// TestOutage takes the only node of each feed away for ten seconds, which is as long as pauses between tries would
// grow: what was accepted meanwhile is in the contract within three of its return.
func TestOutage(t *testing.T) {
	t.Parallel()
	d, all := faultyFeeds(t, map[string]relayertest.Fault{
		"down": relayertest.Down, "hangs": relayertest.Hang, "HTML": relayertest.HTML, "garbage": relayertest.Garbage,
		"lags": relayertest.Lag,
	}, false)
	limit := resumes + usual(d, all)
	for _, f := range all {
		f.server.SetFault(f.fault)
	}
	transmit(d, all, 2)
	time.Sleep(10 * time.Second) // the outage itself
	for _, f := range all {
		f.server.SetFault(relayertest.None)
	}
	resume(d, all, 2, limit)
	transmit(d, all, 3)
	resume(d, all, 3, limit)
	settled(d, all, 3)
}

// TestSecondNode takes the first of two nodes away: each feed goes on at once, and still once the first is back. One
// call has to find out that a node hangs, which takes a quarter of RequestTimeout; later reports do not wait.
func TestSecondNode(t *testing.T) {
	t.Parallel()
	for name, c := range relayertest.FirstFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, all := faultyFeeds(t, c.Faults, true)
			limit := resumes + usual(d, all)
			for _, f := range all {
				f.server.SetFault(f.fault)
			}
			transmit(d, all, 2)
			resume(d, all, 2, limit+c.Wait)
			transmit(d, all, 3)
			resume(d, all, 3, limit)
			for _, f := range all {
				f.server.SetFault(relayertest.None)
			}
			transmit(d, all, 4)
			resume(d, all, 4, limit)
			settled(d, all, 4)
		})
	}
}
