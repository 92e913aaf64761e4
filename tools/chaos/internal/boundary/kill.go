package boundary

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// The bounds of healing. A plugin whose program by itself starts within quickStart answers within healMedian and
// healMost; the bounds of a slower one grow with its start, as healBounds says.
const (
	quickStart     = 15 * time.Millisecond
	healMedian     = 100 * time.Millisecond
	healMost       = 250 * time.Millisecond
	startAllowance = 60 * time.Millisecond
)

// kill kills the operators' plugins and waits for the same object's next answer.
func (b Bench) kill(ctx context.Context, r *trial.Report) error {
	n := 30
	if r.Short {
		n = 8
	}
	for _, v := range []struct {
		name string
		kind wire.Kind
		run  func(context.Context, *host) (*loophost.Plugin, func(context.Context) error, error)
	}{
		{"loop-evm", relayerv1loop.RelayerKind(), b.evmInUse},
		{"loop-median", medianv1loop.MedianKind(), b.medianInUse},
	} {
		bare, err := bareStart(ctx, filepath.Join(b.Bin, v.name), v.kind, 10)
		if err != nil {
			return err
		}
		samples, err := kills(ctx, n, v.run)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		median, most := healBounds(bare)
		r.Tell(v.name+": bare start of the program, median of 10", fmt.Sprintf("%.0f ms", float64(bare.Microseconds())/1000))
		r.Times(v.name+": the object answers again", samples, n, median, most)
	}
	return nil
}

// healBounds are the bounds for a plugin whose program by itself takes this long from its start to its handshake.
func healBounds(bare time.Duration) (median, most time.Duration) {
	if bare <= quickStart {
		return healMedian, healMost
	}
	return max(healMedian, bare+startAllowance), max(healMost, bare+healMost-quickStart)
}

func kills(ctx context.Context, n int,
	run func(context.Context, *host) (*loophost.Plugin, func(context.Context) error, error)) ([]time.Duration, error) {
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return nil, err
	}
	defer end()
	p, call, err := run(ctx, h)
	if err != nil {
		return nil, err
	}
	var samples []time.Duration
	for range n {
		if err := grownUp(ctx, p); err != nil {
			return samples, err
		}
		begin := time.Now()
		if err := signal(p, syscall.SIGKILL); err != nil {
			return samples, err
		}
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := call(bounded)
		cancel()
		if err == nil { // what did not answer is missing from the count
			samples = append(samples, time.Since(begin))
		}
	}
	return samples, nil
}

// evmInUse launches loop-evm with a provider, and returns a call on the provider.
func (b Bench) evmInUse(ctx context.Context, h *host) (*loophost.Plugin, func(context.Context) error, error) {
	p, err := b.evm(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	used := provider(h.chain(p, deadChain))
	call := func(ctx context.Context) error {
		_, err := used.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: 4})
		return err
	}
	return p.Plugin, call, call(ctx)
}

// medianInUse launches loop-median with a reporting plugin over a provider inside this process, and returns a call on
// the reporting plugin.
func (b Bench) medianInUse(ctx context.Context, h *host) (*loophost.Plugin, func(context.Context) error, error) {
	relayer, err := insideRelayer(ctx, h, "relayer")
	if err != nil {
		return nil, nil, err
	}
	p, err := b.median(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	used := h.factory(p, provider(h.chain(relayer, ""))).CreateReportingPlugin(instanceRequest())
	call := func(ctx context.Context) error {
		_, err := used.Query(ctx, &reportingv1.QueryRequest{Timestamp: round})
		return err
	}
	return p.Plugin, call, call(ctx)
}

// bareStart is how long a plugin's program takes from its start to its handshake, without a host: the median of n.
func bareStart(ctx context.Context, path string, kind wire.Kind, n int) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return 0, fmt.Errorf("making a folder for sockets: %w", err)
	}
	defer os.RemoveAll(dir)
	host, err := wire.NewKeyPair()
	if err != nil {
		return 0, err
	}
	environment := []string{
		wire.CookieKey + "=" + kind.Cookie, "PLUGIN_UNIX_SOCKET_DIR=" + dir, "PLUGIN_PROTOCOL_VERSIONS=1",
		"PLUGIN_CLIENT_CERT=" + string(host.CertificatePEM),
	}
	var samples []time.Duration
	for range n {
		took, err := once(ctx, path, environment)
		if err != nil {
			return 0, err
		}
		samples = append(samples, took)
	}
	slices.Sort(samples)
	return samples[len(samples)/2], nil
}

func once(ctx context.Context, path string, environment []string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, path)
	c.Env = environment
	stdin, err := c.StdinPipe() // stays open: a plugin ends when its host closes it
	if err != nil {
		return 0, err
	}
	defer stdin.Close()
	stdout, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := c.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w; run make build", path, err)
	}
	_, err = bufio.NewReader(stdout).ReadString('\n')
	took := time.Since(begin)
	_ = c.Process.Kill()
	_ = c.Wait() // it was killed
	if err != nil {
		return 0, fmt.Errorf("%s printed no handshake: %w", path, err)
	}
	return took, nil
}

// stop stops a plugin as a debugger does, and waits for the same object's next answer.
func (b Bench) stop(ctx context.Context, r *trial.Report) error {
	n := 10
	if r.Short {
		n = 3
	}
	h, end, err := open(loophost.Settings{HealthInterval: time.Second, HealthTimeout: time.Second})
	if err != nil {
		return err
	}
	defer end()
	p, call, err := b.medianInUse(ctx, h)
	if err != nil {
		return err
	}
	var samples []time.Duration
	for range n {
		if err := grownUp(ctx, p); err != nil {
			return err
		}
		begin := time.Now()
		if err := signal(p, syscall.SIGSTOP); err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := call(bounded)
		cancel()
		if err == nil {
			samples = append(samples, time.Since(begin))
		}
	}
	r.Times("loop-median: the object answers again", samples, n, 0, 3*time.Second)
	return nil
}

// close ends a host while its plugin starts, serves, hangs, comes back or is given up.
func (b Bench) close(ctx context.Context, r *trial.Report) error {
	for _, state := range []string{"starting", "ready", "hung", "in a call that hangs", "restarting", "quarantined"} {
		took, err := b.closeIn(ctx, state)
		if err != nil {
			return fmt.Errorf("%s: %w", state, err)
		}
		r.Times("the end of the host with the plugin "+state, []time.Duration{took}, 1, 0, 3*time.Second)
	}
	return nil
}

func (b Bench) closeIn(ctx context.Context, state string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	good := "exec " + b.Self
	first := good
	if state == "starting" {
		first = "exec sleep 60"
	}
	script, err := newProgram(dir, first)
	if err != nil {
		return 0, err
	}
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return 0, err
	}
	defer end()
	settings := loophost.PluginSettings{Name: "faulty", Command: []string{script.path}, Hint: "it is this tool's own"}
	if state == "in a call that hangs" {
		settings.Env = []string{fault.Key + "=method=LatestHead,do=hang"}
	}
	if state == "starting" {
		launched := make(chan struct{})
		go func() {
			defer close(launched)
			_, _ = relayerv1loophost.LaunchRelayer(ctx, h.Runtime, settings) // ends with the host
		}()
		defer func() { <-launched }()
		err = until(ctx, 5*time.Second, "the process to be there", func() bool {
			p := h.Plugin("faulty")
			return p != nil && p.Status().State == supervise.Starting && p.Status().Generation == 1 &&
				len(machine.Descendants(os.Getpid())) > 0
		})
	} else {
		err = h.bring(ctx, settings, script, state)
	}
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	h.Close(ctx)
	return time.Since(begin), nil
}

// bring launches a plugin and brings it into a state that comes after its start.
func (h *host) bring(ctx context.Context, settings loophost.PluginSettings, script program, state string) error {
	relayer, err := relayerv1loophost.LaunchRelayer(ctx, h.Runtime, settings)
	if err != nil {
		return err
	}
	p := relayer.Plugin
	switch state {
	case "hung":
		return signal(p, syscall.SIGSTOP)
	case "in a call that hangs":
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		if head(short, h.chain(relayer, "")) == nil {
			return errors.New("the call that should hang was answered")
		}
	case "restarting", "quarantined":
		if err := script.become("exit 1"); err != nil {
			return err
		}
		if err := grownUp(ctx, p); err != nil {
			return err
		}
		if err := signal(p, syscall.SIGKILL); err != nil {
			return err
		}
		want := supervise.Restarting
		if state == "quarantined" {
			want = supervise.Quarantined
		}
		return until(ctx, 20*time.Second, "the plugin to be "+want.String(), func() bool { return p.Status().State == want })
	}
	return nil
}
