package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// plugins are the faults of plugins that have run. Each is started by a script, which does something else while there
// is a file.
func plugins() chapter {
	const deadRelayer = "plugin evm is quarantined: …exit status 4; it said: cannot map memory…"
	const remedy = "see its log by loop plugins logs %s, fix what ends it, then loop plugins restart %[1]s"
	return chapter{
		title: "Plugins",
		about: "When a plugin ends, the node starts it again at once, and after five failed generations in a row once a " +
			"minute. `loop plugins inspect NAME` has the last lines of the generation that ended last.",
		faults: []fault{
			{
				name: "the median ends at each start",
				make: func(s *scene) { s.sick("median", "echo 'no licence today' >&2; exit 3") },
				says: says{
					status: "failing", alerts: []string{"LoopPluginFailed", "LoopJobFailed"},
					job: &job{"failed", "plugin median is quarantined: …exit status 3; it said: no licence " +
						"today…", fmt.Sprintf(remedy, "median")},
					parts: []component{{"plugin median", "failed", "plugin median is quarantined: …exit status 3; it said: no " +
						"licence today…", fmt.Sprintf(remedy, "median")}},
				},
			},
			{
				name: "the relayer ends at each start",
				make: func(s *scene) { s.sick("evm", "echo 'cannot map memory' >&2; exit 4") },
				says: says{
					status: "failing", alerts: []string{"LoopPluginFailed", "LoopJobFailed"},
					job: &job{"failed", deadRelayer, fmt.Sprintf(remedy, "evm")},
					// It may die before the median's plugin, just started, has read the contract's bounds through it.
					may: []component{{"plugin median", "degraded", "plugin median could not make …plugin evm is quarantined: …",
						"fix what the reason names: what may succeed is tried again"}},
					parts: []component{
						{"plugin evm", "failed", deadRelayer, fmt.Sprintf(remedy, "evm")},
						{"evm chain 1337", "failed", deadRelayer, fmt.Sprintf(remedy, "evm")},
					},
				},
			},
			{
				name:   "a plugin hangs again and again",
				make:   func(s *scene) { s.again("median", syscall.SIGSTOP) },
				within: 2 * patience,
				says: says{
					may:    unsteady("plugins"),
					status: "degraded", alerts: []string{"LoopPluginDegraded"},
					parts: []component{{"plugin median", "degraded", "plugin median has ended … times in the last 10m0s, last: " +
						"…health check…", "see its log by loop plugins logs median"}},
					log: []string{`msg="the plugin does not answer and is killed"`},
				},
				todo: "find out what it does when it hangs, by loop plugins inspect and its log",
			},
			{
				name:   "a plugin is killed again and again",
				make:   func(s *scene) { s.again("evm", syscall.SIGKILL) },
				within: 2 * patience,
				says: says{
					may:    unsteady("plugins"),
					status: "degraded", alerts: []string{"LoopPluginDegraded"},
					parts: []component{{"plugin evm", "degraded", "plugin evm has ended … times in the last 10m0s, last: …signal: " +
						"killed…", "see its log by loop plugins logs evm"}},
				},
				todo: "see who kills it: the kernel's log says if memory ran out",
			},
			{
				name: "a plugin takes more memory than its limit",
				make: func(s *scene) {
					// Not at once: a plugin that ends within 500 ms again and again is quarantined, which is another row.
					s.sick("median", "{ sleep 2; { head -c 300000000 /dev/zero; sleep 60; } | tail -c 300000000; } & exec "+
						filepath.Join(s.bin, "loop-median"))
				},
				within: 2 * patience,
				says: says{
					may:    unsteady("plugins"),
					status: "degraded", alerts: []string{"LoopPluginDegraded"},
					parts: []component{{"plugin median", "degraded", "plugin median has ended … times in the last 10m0s, last: " +
						"…killed at … MiB of memory; its limit is 128 MiB…", "see its log by loop plugins logs median"}},
					log: []string{`msg="the plugin takes more memory than its limit and is killed"`},
				},
				todo: "raise [Plugins.Median] MemoryLimit, or find out what takes the memory",
			},
		},
	}
}

// unsteady is what may follow for a job from a plugin that comes and goes.
func unsteady(feed string) []component {
	name := "job 1 (" + feed + ")"
	return []component{
		{name, "degraded", "this node has observed nothing for …", "…"}, {name, "degraded", "no report has reached the " +
			"relayer for …", "…"},
		{"plugin …", "waiting", "plugin … starts again: …", ""},
	}
}

// sick has a plugin's program do something else from its next generation on, and ends this one.
func (s *scene) sick(plugin, script string) {
	file := s.script(plugin+".ill", script)
	s.signal(plugin, syscall.SIGKILL)
	s.undo(func() {
		if err := os.Remove(file); err != nil {
			s.t.Error(err)
		}
		s.anew()
	})
}

// anew starts the node anew: how often a plugin has ended is told for minutes.
func (s *scene) anew() {
	s.node.stop(s.t)
	s.node.start(s.t)
}

// again sends a signal to every generation of a plugin that has become ready.
func (s *scene) again(plugin string, signal syscall.Signal) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(look)
		defer tick.Stop()
		for last := uint64(0); ctx.Err() == nil; {
			p := s.plugin(ctx, plugin)
			// A generation that dies sooner counts as failed, and five of these in a row are a quarantine.
			if p.GetPid() > 0 && time.Since(p.GetReadyAt().AsTime()) > time.Second && p.GetGeneration() != last &&
				p.GetState() == nodev1.PluginState_PLUGIN_STATE_READY {
				last = p.GetGeneration()
				_ = syscall.Kill(int(p.GetPid()), signal) // it may have ended by itself
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	s.undo(func() {
		cancel()
		<-done
		s.anew()
	})
}

// plugin asks the node for a plugin.
func (s *scene) plugin(ctx context.Context, name string) *nodev1.PluginStatus {
	response, err := s.node.operator().ListPlugins(ctx, &nodev1.ListPluginsRequest{})
	if err != nil {
		return nil
	}
	for _, p := range response.GetPlugins() {
		if p.GetName() == name {
			return p
		}
	}
	return nil
}

func (s *scene) signal(plugin string, signal syscall.Signal) {
	s.t.Helper()
	pid := 0 // as it is between two generations: the kernel takes it for the test's own group
	s.poll(patience, func() bool {
		pid = int(s.plugin(s.t.Context(), plugin).GetPid())
		return pid > 0
	})
	if pid <= 0 {
		s.t.Fatalf("plugin %s has no process to send %s to", plugin, signal)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		s.t.Fatal(err)
	}
}

// outOfProcess gives the row's node its plugins as processes, of scripts that do something else while there is a file
// NAME.ill.
func (s *scene) outOfProcess() {
	for name, variable := range map[string]string{"median": "CL_MEDIAN_CMD", "evm": "CL_EVM_CMD"} {
		ill := filepath.Join(s.node.dir, name+".ill")
		s.environ(variable + "=" + s.script(name, fmt.Sprintf("[ -e %s ] && . %[1]s\nexec "+
			"%s", ill, filepath.Join(s.bin, "loop-"+name))))
	}
}

// runPlugins makes them one after another on a node whose feed goes on.
func runPlugins(t *testing.T, at *scene) {
	at.on(t).follow()
	for _, f := range plugins().faults {
		t.Run(f.name, func(t *testing.T) { at.on(t).live(f) })
	}
}
