package boundary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// tally is what a host and its plugins hold.
type tally struct{ goroutines, descriptors, sockets int }

func (t tally) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d socket files", t.goroutines, t.descriptors, t.sockets)
}

// over tells whether there is more of anything than before.
func (t tally) over(before tally) bool {
	return t.goroutines > before.goroutines || t.descriptors > before.descriptors || t.sockets > before.sockets
}

// count waits until what ends by itself has ended, and counts what is left: mine is the host's, with the files of all
// sockets; theirs is the sum over the plugins.
func (h *host) count(ctx context.Context, plugins ...*loophost.Plugin) (mine, theirs tally, err error) {
	const while, limit = 200 * time.Millisecond, 5 * time.Second
	counted := func(into *int, f func() (int, error)) {
		if err == nil {
			*into, err = machine.Settle(while, limit, f)
		}
	}
	counted(&mine.goroutines, func() (int, error) { return runtime.NumGoroutine(), nil })
	counted(&mine.descriptors, func() (int, error) { return machine.Descriptors(os.Getpid()) })
	counted(&mine.sockets, h.socketFiles)
	for _, p := range plugins {
		var g, d int
		counted(&g, func() (int, error) {
			n, err := metric(ctx, p, "go_goroutines")
			return int(n), err
		})
		counted(&d, func() (int, error) { return machine.Descriptors(p.Status().PID) })
		theirs.goroutines += g
		theirs.descriptors += d
	}
	return mine, theirs, err
}

// metric reads one metric of a plugin.
func metric(ctx context.Context, p *loophost.Plugin, name string) (float64, error) {
	m, err := p.CollectMetrics(ctx, "text/plain")
	if err != nil {
		return 0, fmt.Errorf("reading %s of plugin %s: %w", name, p.Name(), err)
	}
	for line := range strings.SplitSeq(string(m.GetExposition()), "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("plugin %s has no metric %s", p.Name(), name)
}

// leak makes and releases objects in the operators' plugins, restarts these, and looks for what is left.
func (b Bench) leak(ctx context.Context, r *trial.Report) error {
	objects, restarts := 1000, 20
	if r.Short {
		objects, restarts = 200, 4
	}
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return err
	}
	defer end()
	evm, err := b.evm(ctx, h)
	if err != nil {
		return err
	}
	median, err := b.median(ctx, h)
	if err != nil {
		return err
	}
	cycle := func(n int) error { return h.cycle(ctx, evm, median, n) }
	if err := cycle(40); err != nil { // fills connections and pools
		return err
	}
	mine, theirs, err := h.count(ctx, evm.Plugin, median.Plugin)
	if err != nil {
		return err
	}
	judge := func(what string) error {
		// What leaks never goes away; what is about to end may still be there.
		var m, t tally
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			if m, t, err = h.count(ctx, evm.Plugin, median.Plugin); err != nil {
				return err
			}
			if time.Now().After(deadline) || !m.over(mine) && !t.over(theirs) {
				break
			}
		}
		for _, side := range []struct {
			name          string
			before, after tally
		}{{"the host's side", mine, m}, {"the plugins' side", theirs, t}} {
			more := tally{side.after.goroutines - side.before.goroutines, side.after.descriptors - side.before.descriptors,
				side.after.sockets - side.before.sockets}
			r.Holds(what+": "+side.name, "0 more", more.String()+" more", !side.after.over(side.before))
		}
		return nil
	}
	if err := cycle(objects); err != nil {
		return err
	}
	if err := judge(fmt.Sprintf("%d objects made and released", objects)); err != nil {
		return err
	}
	for i := range restarts {
		for _, p := range []*loophost.Plugin{evm.Plugin, median.Plugin} {
			if err := again(ctx, p, i%2 == 0); err != nil {
				return err
			}
		}
	}
	if err := cycle(40); err != nil {
		return err
	}
	return judge(fmt.Sprintf("%d restarts of each, half of them by SIGKILL", restarts))
}

// cycle makes and releases n objects, four at once: a chain, its provider, a factory that borrows it, and its instance.
// Nothing else is in the host.
func (h *host) cycle(ctx context.Context, evm *relayerv1loophost.Relayer,
	median *medianv1loophost.Median, n int) error {
	for range (n + 3) / 4 {
		c := h.chain(evm, deadChain)
		f := h.factory(median, provider(c))
		if _, err := f.Created(ctx); err != nil {
			return err
		}
		// The reporting plugin cannot be made, because no chain answers, and the host tries until it is released.
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err := f.CreateReportingPlugin(instanceRequest()).Created(short)
		cancel()
		if err == nil {
			return errors.New("an instance was made on a chain of which no node answers")
		}
		if err := errors.Join(f.Release(ctx), c.Release(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// again has a plugin start again, as an operator asks for it or by SIGKILL.
func again(ctx context.Context, p *loophost.Plugin, asked bool) error {
	if asked {
		return p.Restart(ctx)
	}
	if err := grownUp(ctx, p); err != nil {
		return err
	}
	generation := p.Status().Generation
	if err := signal(p, syscall.SIGKILL); err != nil {
		return err
	}
	if err := until(ctx, 10*time.Second, "the next generation", func() bool {
		return p.Status().Generation > generation && p.Status().PID != 0
	}); err != nil {
		return err
	}
	return grownUp(ctx, p)
}
