package loophost_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// plainKey asks this binary to be a plugin of go-plugin's alone: gRPC without TLS, and nothing of ours.
const plainKey = "FAKE_PLAIN"

var plainHandshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "PLAIN", MagicCookieValue: "plain"}

type plainPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (plainPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&relayerv1.ContractConfigService_ServiceDesc, &fakeProvider{})
	s.RegisterService(&medianv1.ReportCodecService_ServiceDesc, &fakeProvider{})
	s.RegisterService(&relayerv1.ContractTransmitterService_ServiceDesc, &counting{})
	return nil
}

func (plainPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

func servePlain() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plainHandshake, Plugins: plugin.PluginSet{"plain": plainPlugin{}},
		GRPCServer: plugin.DefaultGRPCServer,
		Logger:     hclog.NewNullLogger(),
	})
}

// boundary is one way across: what is measured, and the processes at both ends.
type boundary struct {
	name string
	pids []int
	// each is how many calls call makes, one after the other.
	each int
	call func(ctx context.Context) error
}

// forwards is how many calls a plugin forwards within one of its own, so that its own does not count.
const forwards = 32

func plain(b testing.TB) boundary {
	b.Helper()
	w, _, end := startPlain(b)
	b.Cleanup(end)
	return w
}

// startPlain starts a plugin of go-plugin's alone.
func startPlain(b testing.TB) (w boundary, conn *grpc.ClientConn, end func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), plainKey+"=1")
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plainHandshake, Plugins: plugin.PluginSet{"plain": plainPlugin{}}, Cmd: cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Logger: hclog.NewNullLogger(),
		GRPCDialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
	})
	rpc, err := client.Client()
	if err != nil {
		client.Kill()
		b.Fatal(err)
	}
	raw, err := rpc.Dispense("plain")
	if err != nil {
		client.Kill()
		b.Fatal(err)
	}
	conn = raw.(*grpc.ClientConn)
	api := relayerv1.NewContractConfigServiceClient(conn)
	pid, err := strconv.Atoi(client.ID())
	if err != nil {
		b.Fatal(err)
	}
	return boundary{"plain", []int{os.Getpid(), pid}, 1, func(ctx context.Context) error {
		_, err := api.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
		return err
	}}, conn, client.Kill
}

func benchRuntime(b *testing.B) *loophost.Runtime {
	b.Helper()
	r, err := loophost.New(loophost.Settings{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// ours are the ways of this package over one transport: a call, a call within which the plugin calls its host, and
// those that a plugin makes to another through the host.
func ours(b *testing.B, m mode) map[string]boundary {
	b.Helper()
	r := benchRuntime(b)
	relayer, err := relayerv1loophost.LaunchRelayer(b.Context(), r, settings(m, "fake"))
	if err != nil {
		b.Fatal(err)
	}
	median, err := medianv1loophost.LaunchMedian(b.Context(), r, settings(m, "median"))
	if err != nil {
		b.Fatal(err)
	}
	chain := newChain(r, relayer, "")
	provider := providerOf(chain)
	reporting := instance(b, r, median, provider)
	at := &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}
	host, first, second := os.Getpid(), relayer.Status().PID, median.Status().PID
	return map[string]boundary{
		"call": {string(m), []int{host, first}, 1, func(ctx context.Context) error {
			_, err := provider.LatestBlockHeight(ctx, &relayerv1.LatestBlockHeightRequest{})
			return err
		}},
		"callback": {string(m), []int{host, second}, 1, func(ctx context.Context) error {
			_, err := reporting.Observation(ctx, &reportingv1.ObservationRequest{Timestamp: at})
			return err
		}},
		"forward": {string(m), []int{host, first, second}, forwards, func(ctx context.Context) error {
			_, err := reporting.Report(ctx, &reportingv1.ReportRequest{Timestamp: at, Query: make([]byte, forwards-1)})
			return err
		}},
	}
}

// sample is one round's measurement: the median of the calls' times, calls per second, and processor time per call of
// all processes.
type sample struct{ p50, rate, cpu float64 }

// measure makes calls by so many callers for a while.
func (w boundary) measure(b *testing.B, callers int, while time.Duration) sample {
	b.Helper()
	var wait sync.WaitGroup
	var failed atomic.Pointer[error]
	took := make([][]time.Duration, callers)
	before, begin := processorTime(b, w.pids), time.Now()
	for i := range callers {
		wait.Go(func() {
			for last := begin; last.Sub(begin) < while; {
				if err := w.call(b.Context()); err != nil {
					failed.Store(&err)
					return
				}
				now := time.Now()
				took[i] = append(took[i], now.Sub(last))
				last = now
			}
		})
	}
	wait.Wait()
	lasted, used := time.Since(begin), processorTime(b, w.pids)-before
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	calls := float64(len(all) * w.each)
	return sample{float64(all[len(all)/2]) / float64(w.each), calls / lasted.Seconds(), float64(used) / calls}
}

// processorTime is what processes have used, by the kernel's own account of their threads in nanoseconds.
func processorTime(b *testing.B, pids []int) (total time.Duration) {
	b.Helper()
	for _, pid := range pids {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			b.Skip("processor time is told on Linux alone")
		}
		for _, task := range tasks {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
			if err != nil {
				continue // the thread has ended
			}
			n, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			total += time.Duration(n)
		}
	}
	return total
}

// BenchmarkBoundary compares the transports with plain go-plugin in the same minute: each iteration measures all of
// them in turn, and the metrics are medians of the ratios to plain of the same iteration (forwards and callbacks: to a
// direct call of plain). Run it with -benchtime=10x or more on a machine that does nothing else.
func BenchmarkBoundary(b *testing.B) {
	direct := plain(b)
	framed, overGRPC := ours(b, outOfProcess), ours(b, overGRPC)
	for _, callers := range []int{1, 8, 64} {
		for _, what := range []string{"call", "callback", "forward"} {
			b.Run(fmt.Sprintf("%s/c=%d", what, callers), func(b *testing.B) {
				ratios := map[string][]float64{}
				for _, w := range []boundary{direct, framed[what], overGRPC[what]} {
					w.measure(b, callers, 100*time.Millisecond) // warms
				}
				for b.Loop() {
					base := direct.measure(b, callers, 300*time.Millisecond)
					for _, w := range []boundary{framed[what], overGRPC[what]} {
						s := w.measure(b, callers, 300*time.Millisecond)
						ratios[w.name+"-p50/plain"] = append(ratios[w.name+"-p50/plain"], s.p50/base.p50)
						ratios[w.name+"-rate/plain"] = append(ratios[w.name+"-rate/plain"], s.rate/base.rate)
						ratios[w.name+"-cpu/plain"] = append(ratios[w.name+"-cpu/plain"], s.cpu/base.cpu)
						ratios[w.name+"-p50-us"] = append(ratios[w.name+"-p50-us"], s.p50/1000)
					}
					ratios["plain-p50-us"] = append(ratios["plain-p50-us"], base.p50/1000)
				}
				b.ReportMetric(0, "ns/op") // which would be the iteration's
				for unit, values := range ratios {
					slices.Sort(values)
					b.ReportMetric(values[len(values)/2], unit)
				}
			})
		}
	}
}

// BenchmarkUnary calls an object through its gate: in the host, where the boundary's own cost shows, and in a process.
// Its allocations are the host's.
func BenchmarkUnary(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		w := plain(b)
		b.ReportAllocs()
		for b.Loop() {
			if err := w.call(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, m := range []mode{inProcess, outOfProcess, overGRPC} {
		b.Run(string(m), func(b *testing.B) {
			r := benchRuntime(b)
			p, err := relayerv1loophost.LaunchRelayer(b.Context(), r, settings(m, "fake"))
			if err != nil {
				b.Fatal(err)
			}
			provider := providerOf(newChain(r, p, ""))
			request := &relayerv1.LatestBlockHeightRequest{}
			before := allocated(b, p)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := provider.LatestBlockHeight(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
			if m != inProcess {
				b.ReportMetric((allocated(b, p)-before)/float64(b.N), "plugin-allocs/op")
			}
		})
	}
}

// allocated is how often a plugin's process has allocated.
func allocated(b *testing.B, p *relayerv1loophost.Relayer) float64 {
	b.Helper()
	r, err := p.CollectMetrics(b.Context(), "text/plain")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(r.GetExposition())) {
		if rest, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	return 0
}
