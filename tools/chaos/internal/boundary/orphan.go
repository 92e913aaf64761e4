package boundary

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

// HostArgument is the first argument with which this tool is a host to be killed.
const HostArgument = "host-to-be-killed"

// RunHost is that host: it launches the plugin of a kind by a command, says that it is ready, and waits to be killed.
func RunHost(ctx context.Context, kind, command string, out io.Writer) error {
	h, end, err := open(loophost.Settings{})
	if err != nil {
		return err
	}
	defer end()
	settings := loophost.PluginSettings{Name: kind, Command: []string{command}}
	if kind == "relayer" {
		_, err = relayerv1loophost.LaunchRelayer(ctx, h.Runtime, settings)
	} else {
		_, err = medianv1loophost.LaunchMedian(ctx, h.Runtime, settings)
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "ready", h.sockets); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// orphan kills hosts and looks for their plugins.
func (b Bench) orphan(ctx context.Context, r *trial.Report) error {
	n := 10
	if r.Short {
		n = 3
	}
	for _, v := range []struct{ kind, name string }{{"relayer", "loop-evm"}, {"median", "loop-median"}} {
		var samples []time.Duration
		for range n {
			took, err := b.orphaned(ctx, v.kind, filepath.Join(b.Bin, v.name))
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			if took > 0 {
				samples = append(samples, took)
			}
		}
		r.Times(v.name+": no process of the plugin is alive", samples, n, 0, time.Second)
	}
	return nil
}

// orphaned kills one host and returns how long its plugin lived on; 0 if it still lives.
func (b Bench) orphaned(ctx context.Context, kind, binary string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	wrapper, err := newProgram(dir, "'"+binary+"'\nexit $?") // a last command alone would be exec'd by some shells
	if err != nil {
		return 0, err
	}
	host := exec.CommandContext(ctx, b.Self, HostArgument, kind, wrapper.path)
	out, err := host.StdoutPipe()
	if err != nil {
		return 0, err
	}
	host.Stderr = os.Stderr
	if err := host.Start(); err != nil {
		return 0, fmt.Errorf("starting a host: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	family := machine.Descendants(host.Process.Pid)
	begin := time.Now()
	_ = host.Process.Kill()
	_ = host.Wait() // it was killed
	if sockets, ok := strings.CutPrefix(strings.TrimSpace(line), "ready "); ok {
		defer os.RemoveAll(sockets)
	}
	if err != nil {
		return 0, fmt.Errorf("the host did not become ready: %w", err)
	}
	if len(family) < 2 {
		return 0, errors.New("the host's plugin is not the shell and its child: " + strconv.Itoa(len(family)) + " processes")
	}
	gone := func() bool {
		for _, pid := range family {
			if machine.Alive(pid) {
				return false
			}
		}
		return true
	}
	if err := until(ctx, time.Minute, "the plugin's end", gone); err != nil {
		return 0, nil // that it lives on is what was asked
	}
	return time.Since(begin), nil
}
