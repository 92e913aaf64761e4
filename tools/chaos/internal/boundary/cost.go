package boundary

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// holding is what all processes hold together.
type holding struct {
	goroutines, descriptors, bytes, resident float64
}

// cost makes the same jobs in plugins with processes of their own and in plugins within this one, and takes the
// difference: what the boundary adds for each further job.
func (b Bench) cost(ctx context.Context, r *trial.Report) error {
	jobs := 200
	if r.Short {
		jobs = 50
	}
	outside, err := b.perJob(ctx, jobs, false)
	if err != nil {
		return err
	}
	inside, err := b.perJob(ctx, jobs, true)
	if err != nil {
		return err
	}
	r.AtMost(fmt.Sprintf("goroutines a job, over %d jobs", jobs), "", outside.goroutines-inside.goroutines, 8)
	r.AtMost("descriptors a job", "", outside.descriptors-inside.descriptors, 0)
	r.AtMost("heap and stacks a job, after garbage collection, over all processes", "KiB",
		(outside.bytes-inside.bytes)/1024, 250)
	r.AtMost("resident memory a job, over all processes", "KiB", (outside.resident-inside.resident)/1024, 250)
	return nil
}

// perJob is what each further job takes, in plugins inside this process or in processes of their own.
func (b Bench) perJob(ctx context.Context, jobs int, inside bool) (holding, error) {
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return holding{}, err
	}
	defer end()
	relayerSettings := loophost.PluginSettings{Name: "relayer", Command: []string{b.Self}}
	medianSettings := loophost.PluginSettings{Name: "median", Command: []string{b.Self}}
	if inside {
		relayer, median := faulty.Relayer(), faulty.Median()
		relayerSettings = loophost.PluginSettings{Name: "relayer", InProcess: &relayer}
		medianSettings = loophost.PluginSettings{Name: "median", InProcess: &median}
	}
	relayer, err := relayerv1loophost.LaunchRelayer(ctx, h.Runtime, relayerSettings)
	if err != nil {
		return holding{}, err
	}
	median, err := medianv1loophost.LaunchMedian(ctx, h.Runtime, medianSettings)
	if err != nil {
		return holding{}, err
	}
	c := h.chain(relayer, "")
	add := func(n int) error {
		for range n {
			instance := h.factory(median, provider(c)).CreateReportingPlugin(instanceRequest())
			if _, err := instance.Observation(ctx, &reportingv1.ObservationRequest{Timestamp: round}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(20); err != nil { // fills connections and pools
		return holding{}, err
	}
	before, err := b.hold(ctx, h, c, relayer, median, inside)
	if err != nil {
		return holding{}, err
	}
	if err := add(jobs); err != nil {
		return holding{}, err
	}
	after, err := b.hold(ctx, h, c, relayer, median, inside)
	if err != nil {
		return holding{}, err
	}
	n := float64(jobs)
	return holding{
		(after.goroutines - before.goroutines) / n, (after.descriptors - before.descriptors) / n,
		(after.bytes - before.bytes) / n, (after.resident - before.resident) / n,
	}, nil
}

func (b Bench) hold(ctx context.Context, h *host, c *relayerv1loophost.Chain, relayer *relayerv1loophost.Relayer,
	median *medianv1loophost.Median, inside bool) (holding, error) {
	plugins := []*loophost.Plugin{relayer.Plugin, median.Plugin}
	if inside {
		plugins = nil
	} else {
		// The plugins collect their garbage before it is measured.
		if _, err := c.ChainStatus(ctx, &relayerv1.ChainStatusRequest{}); err != nil {
			return holding{}, err
		}
		probe := h.factory(median, provider(c))
		instance := probe.CreateReportingPlugin(instanceRequest())
		if _, err := instance.Query(ctx, &reportingv1.QueryRequest{Timestamp: round}); err != nil {
			return holding{}, err
		}
		if err := probe.Release(ctx); err != nil {
			return holding{}, err
		}
	}
	runtime.GC()
	mine, theirs, err := h.count(ctx, plugins...)
	if err != nil {
		return holding{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	sum := holding{
		goroutines: float64(mine.goroutines + theirs.goroutines), descriptors: float64(mine.descriptors + theirs.descriptors),
		bytes: float64(m.HeapAlloc + m.StackInuse), resident: float64(machine.Resident(os.Getpid())),
	}
	for _, p := range plugins {
		for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes"} {
			n, err := metric(ctx, p, name)
			if err != nil {
				return holding{}, err
			}
			sum.bytes += n
		}
		sum.resident += float64(machine.Resident(p.Status().PID))
	}
	return sum, nil
}
