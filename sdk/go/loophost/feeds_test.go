package loophost_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loophost"
)

// feed is what one job of a node has in its plugins.
type feed struct {
	provider  *relayerv1loophost.Provider
	reporting *reportingv1loophost.ReportingPlugin
}

// round makes the calls of a round: six of the node's, within which plugins make seven. A feed of OCR2's median makes
// 6.2 and 7.7 in the mean.
func (f feed) round(ctx context.Context) error {
	at := &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32), Epoch: 1, Round: 1}
	const asks = 6 // of the provider, within Report
	calls := []func() error{
		func() error { _, err := f.reporting.Query(ctx, &reportingv1.QueryRequest{Timestamp: at}); return err },
		func() error {
			_, err := f.reporting.Observation(ctx, &reportingv1.ObservationRequest{Timestamp: at})
			return err
		},
		func() error {
			_, err := f.reporting.Report(ctx, &reportingv1.ReportRequest{Timestamp: at, Query: make([]byte, asks-1)})
			return err
		},
		func() error {
			_, err := f.reporting.ShouldAcceptFinalizedReport(ctx,
				&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: at})
			return err
		},
		func() error {
			_, err := f.provider.LatestConfigDigestAndEpoch(ctx, &relayerv1.LatestConfigDigestAndEpochRequest{})
			return err
		},
		func() error {
			_, err := f.provider.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
			return err
		},
	}
	for _, call := range calls {
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}

// crowd is a node's worth of feeds: one relayer and one median, each a process.
type crowd struct {
	relayer *relayerv1loophost.Relayer
	median  *medianv1loophost.Median
	feeds   []feed
}

func newCrowd(b *testing.B, n int) *crowd {
	b.Helper()
	r := benchRuntime(b)
	c := &crowd{}
	var err error
	if c.relayer, err = relayerv1loophost.LaunchRelayer(b.Context(), r, settings(outOfProcess, "fake")); err != nil {
		b.Fatal(err)
	}
	if c.median, err = medianv1loophost.LaunchMedian(b.Context(), r, settings(outOfProcess, "median")); err != nil {
		b.Fatal(err)
	}
	chain := newChain(r, c.relayer, "")
	for range n {
		provider := providerOf(chain)
		c.feeds = append(c.feeds, feed{provider, reportingOf(r, c.median, provider)})
	}
	return c
}

func (c *crowd) pids() []int {
	return []int{os.Getpid(), c.relayer.Status().PID, c.median.Status().PID}
}

// all makes a round of each feed at once, with a minute for all.
func (c *crowd) all(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	for _, f := range c.feeds {
		wait.Go(func() {
			if err := f.round(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
}

// rounds has each feed make a round in each second, and returns how long each took from the time that it was due at.
// The feeds are due one after the other within spread.
func (c *crowd) rounds(b *testing.B, n int, spread time.Duration) (took []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	begin := time.Now().Add(100 * time.Millisecond)
	for i, f := range c.feeds {
		wait.Go(func() {
			own := make([]time.Duration, 0, n)
			due := begin.Add(spread * time.Duration(i) / time.Duration(len(c.feeds)))
			timer := time.NewTimer(time.Until(due))
			defer timer.Stop()
			for range n {
				<-timer.C
				if err := f.round(b.Context()); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(due))
				due = due.Add(time.Second)
				timer.Reset(time.Until(due))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
		})
	}
	wait.Wait()
	slices.Sort(took)
	return took
}

// BenchmarkFeeds is a node's boundary with so many feeds, each of which makes a round a second: host and plugins
// without libocr, chain and database. The rounds begin throughout each second, and then all at once. In the end both
// plugins are killed.
func BenchmarkFeeds(b *testing.B) {
	for _, n := range []int{1, 10, 100, 300, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				measureFeeds(b, n)
			}
			b.ReportMetric(0, "ns/op") // which would be of all of it
		})
	}
}

func measureFeeds(b *testing.B, n int) {
	b.Helper()
	const rounds = 10
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	runtime.GC()
	goroutines, began := runtime.NumGoroutine(), time.Now()
	c := newCrowd(b, n)
	c.all(b)
	b.ReportMetric(ms(time.Since(began)), "start-ms")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
	b.ReportMetric(float64(descriptors(b, "self")), "descriptors")
	pids := c.pids()
	for suffix, spread := range map[string]time.Duration{"": time.Second, "-at-once": 0} {
		before, at := processorTime(b, pids), time.Now()
		took := c.rounds(b, rounds, spread)
		used, lasted := processorTime(b, pids)-before, time.Since(at)
		timely, _ := slices.BinarySearch(took, time.Second)
		b.ReportMetric(float64(timely)/float64(n*rounds), "on-time"+suffix)
		b.ReportMetric(ms(took[len(took)/2]), "p50-ms"+suffix)
		b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms"+suffix)
		b.ReportMetric(used.Seconds()/lasted.Seconds(), "processors"+suffix)
		b.ReportMetric(ms(used)/float64(n*rounds), "round-ms"+suffix)
	}
	for i, unit := range []string{"host-MiB", "relayer-MiB", "median-MiB"} {
		b.ReportMetric(resident(b, pids[i]), unit)
	}
	for _, pid := range pids[1:] {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
	}
	began = time.Now()
	c.all(b)
	b.ReportMetric(ms(time.Since(began)), "again-ms")
}

// resident is the memory of a process in MiB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
