package boundary

import (
	"context"
	"fmt"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// noiseMemory is how much a host's memory may grow while a plugin shouts. The buffers of its pipes are 36 KiB; the rest
// is what Go keeps before it collects.
const noiseMemory = 32

// noise has a plugin write what hosts have died of, while another is called.
func (b Bench) noise(ctx context.Context, r *trial.Report) error {
	flood := 1 << 30
	if r.Short {
		flood = 64 << 20
	}
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return err
	}
	defer end()
	quiet, err := b.faultyRelayer(ctx, h, "quiet")
	if err != nil {
		return err
	}
	loud, err := b.faultyRelayer(ctx, h, "loud")
	if err != nil {
		return err
	}
	other := h.chain(quiet, "")
	for _, v := range []struct {
		what, noise string
		n           int
	}{
		{fmt.Sprintf("%d MiB of random bytes on stderr", flood>>20), "stderr", flood},
		{"one line of 100 MiB on stdout", "stdout", 100 << 20},
		{"`{\"@message\":1}` and its like on both", "poison", 1},
	} {
		peak := machine.Peak()
		others := beside(ctx, 5*time.Millisecond, func(ctx context.Context) error { return head(ctx, other) })
		bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
		begin := time.Now()
		err := head(bounded, h.chain(loud, fmt.Sprintf("%s%s %d", faulty.Noise, v.noise, v.n)))
		took := time.Since(begin)
		cancel()
		others.atLeast(20)
		calls, failures := others.done()
		grown := peak()
		if err != nil {
			return fmt.Errorf("%s: %w", v.what, err)
		}
		r.AtMost(v.what+fmt.Sprintf(", in %.1f s: growth of the host's memory", took.Seconds()), "MiB", float64(grown>>20),
			noiseMemory)
		r.Holds(v.what+": calls to another plugin meanwhile", "none fails",
			fmt.Sprintf("%d answered, %d failed", len(calls), len(failures)), len(failures) == 0)
	}
	restarts := loud.Status().Restarts
	r.AtMost("restarts of the loud plugin", "", float64(restarts), 0)
	return nil
}
