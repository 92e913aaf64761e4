package loophost_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// middle is the median.
func middle[T int | float64 | time.Duration](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// counting is a plain provider whose account is how often its process has allocated.
type counting struct{ fakeProvider }

func (*counting) FromAccount(
	context.Context, *relayerv1.FromAccountRequest,
) (*relayerv1.FromAccountResponse, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &relayerv1.FromAccountResponse{Account: strconv.FormatUint(m.Mallocs, 10)}, nil
}

// BenchmarkAllocations counts what a call allocates at both ends, in ratio to plain go-plugin.
func BenchmarkAllocations(b *testing.B) {
	const calls = 5000
	direct, conn, end := startPlain(b)
	b.Cleanup(end)
	transmitter := relayerv1.NewContractTransmitterServiceClient(conn)
	r := benchRuntime(b)
	p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, settings(outOfProcess, "fake"))
	if err != nil {
		b.Fatal(err)
	}
	provider := providerOf(newChain(r, p, ""))
	theirs := func() float64 {
		r, err := transmitter.FromAccount(b.Context(), &relayerv1.FromAccountRequest{})
		if err != nil {
			b.Fatal(err)
		}
		n, err := strconv.ParseFloat(r.GetAccount(), 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	own := func() float64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Mallocs)
	}
	// of is what each of many calls allocates at both ends.
	of := func(plugin func() float64, call func() error) (here, there float64) {
		there, here = plugin(), own()
		for range calls {
			if err := call(); err != nil {
				b.Fatal(err)
			}
		}
		here, there = own()-here, plugin()-there
		return here / calls, there / calls
	}
	var figures [5][]float64
	for b.Loop() {
		plainHere, plainThere := of(theirs, func() error { return direct.call(b.Context()) })
		here, there := of(func() float64 { return allocated(b, p) }, func() error {
			_, err := provider.LatestBlockHeight(b.Context(), &relayerv1.LatestBlockHeightRequest{})
			return err
		})
		for i, v := range []float64{plainHere, plainThere, here, there, (here + there) / (plainHere + plainThere)} {
			figures[i] = append(figures[i], v)
		}
	}
	b.ReportMetric(0, "ns/op") // which would be of many calls
	for i, unit := range []string{
		"plain-node-allocs", "plain-plugin-allocs", "process-node-allocs", "process-plugin-allocs", "process-allocs/plain",
	} {
		b.ReportMetric(middle(figures[i]), unit)
	}
}

// BenchmarkBeside compares small calls beside calls of 1 MiB with plain go-plugin's, which have nothing beside them,
// and with the same alone.
func BenchmarkBeside(b *testing.B) {
	direct := plain(b)
	r := benchRuntime(b)
	p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, settings(outOfProcess, "fake"))
	if err != nil {
		b.Fatal(err)
	}
	provider := providerOf(newChain(r, p, ""))
	large := &medianv1.MedianFromReportRequest{Report: make([]byte, 1<<20)}
	small := func(ctx context.Context) error {
		_, err := provider.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
		return err
	}
	times := func(call func(context.Context) error) (took []time.Duration) {
		for begin := time.Now(); time.Since(begin) < 300*time.Millisecond; {
			at := time.Now()
			if err := call(b.Context()); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(at))
		}
		slices.Sort(took)
		return took
	}
	var p50s, p99s []float64
	for b.Loop() {
		base, alone := times(direct.call), times(small)
		ctx, cancel := context.WithCancel(b.Context())
		var others sync.WaitGroup
		others.Go(func() {
			for ctx.Err() == nil {
				_, _ = provider.MedianFromReport(ctx, large) // the last one is cancelled
			}
		})
		beside := times(small)
		cancel()
		others.Wait()
		at := func(took []time.Duration, hundredths int) float64 { return float64(took[len(took)*hundredths/100]) }
		p50s = append(p50s, at(beside, 50)/at(base, 50))
		p99s = append(p99s, at(beside, 99)/at(alone, 99))
	}
	b.ReportMetric(0, "ns/op") // which would be of many calls
	b.ReportMetric(middle(p50s), "beside-p50/plain")
	b.ReportMetric(middle(p99s), "beside-p99/alone")
}

// BenchmarkLaunch compares the launch of a plugin until its first call has been answered with that of plain go-plugin:
// with mutual TLS, a checksum that is known and the confinement that is the default, and without confinement.
func BenchmarkLaunch(b *testing.B) {
	r := benchRuntime(b)
	s := settings(outOfProcess, "fake")
	files, err := r.ChecksumsOf(s.Command)
	if err != nil {
		b.Fatal(err)
	}
	s.SHA256 = []string{files[0].SHA256}
	ours := func(level confine.Level) time.Duration {
		begin := time.Now()
		s.Confine.Level = level
		p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, s)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := newChain(r, p, "").Created(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(begin)
		p.Close(b.Context())
		return took
	}
	ours(confine.None)
	ours("")
	var ratios, unconfined, plains []float64
	for b.Loop() {
		begin := time.Now()
		w, _, end := startPlain(b)
		if err := w.call(b.Context()); err != nil {
			b.Fatal(err)
		}
		base := float64(time.Since(begin))
		end()
		ratios = append(ratios, float64(ours(""))/base)
		unconfined = append(unconfined, float64(ours(confine.None))/base)
		plains = append(plains, base/1e6)
	}
	b.ReportMetric(0, "ns/op") // which would be of three launches
	b.ReportMetric(middle(ratios), "launch/plain")
	b.ReportMetric(middle(unconfined), "launch-unconfined/plain")
	b.ReportMetric(middle(plains), "plain-launch-ms")
}
