// Package loophost is the host's side of LOOP: it launches plugins, supervises them, makes the objects in them and
// makes them again after a restart, lends them what they may call, and forwards calls between them. Two state machines
// decide what to do and when: supervise for processes, and journal for objects and calls. This package carries out
// their decisions.
//
// It knows the contract's options and lifecycle. It must not know any product or chain: typed handles are generated.
package loophost

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Settings configure a Runtime. Zero values mean the given defaults.
type Settings struct {
	// Logger receives the log of the runtime and of the plugins. Default: none.
	Logger *slog.Logger
	// PluginLogLevel returns the lowest level that plugins send. It is read when a process starts. Default: info.
	PluginLogLevel slog.Leveler
	// Registerer takes the runtime's metrics. Default: none.
	Registerer prometheus.Registerer
	// SocketDir is the parent of the private folder for sockets. Its path has at most 60 bytes. Default:
	// XDG_RUNTIME_DIR, else the folder for temporary files (TMPDIR, else /tmp).
	SocketDir string
	// SocketHint tells a person how to choose another folder. Default: "name another by XDG_RUNTIME_DIR or TMPDIR".
	SocketHint string
	// Version is the host's version, for the plugins' logs.
	Version string
	// Telemetry receives the plugins' telemetry; it is lent to every plugin. Default: none.
	Telemetry telemetryv1.TelemetryServiceServer
	// StartTimeout bounds a process's start, handshake and Init. Default: 30 s.
	StartTimeout time.Duration
	// StopTimeout is how long the end of a plugin may take: half of it to drain, and half for its process to end. Calls
	// that are in flight before it drains, and answers on their way after it, have a third of it each. Default: 3 s.
	StopTimeout time.Duration
	// HealthInterval is the time between health checks. Default: 1 s.
	HealthInterval time.Duration
	// Keep are files and folders of the host that no plugin may open unless it is given them by name, see
	// confine.Needs.
	Keep []string
	// Adopt makes the host the parent of orphaned descendants of its plugins, and gives each plugin process a control
	// group if it may; see process.Starter. It is not for hosts that start other processes.
	Adopt bool
	// HealthTimeout is how long a health check may take before the plugin counts as hung. Default: 1 s.
	HealthTimeout time.Duration
}

func (s Settings) withDefaults() Settings {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.PluginLogLevel == nil {
		s.PluginLogLevel = slog.LevelInfo
	}
	s.SocketHint = cmp.Or(s.SocketHint, "name another by XDG_RUNTIME_DIR or TMPDIR")
	s.StartTimeout = cmp.Or(s.StartTimeout, 30*time.Second)
	s.StopTimeout = cmp.Or(s.StopTimeout, 3*time.Second)
	s.HealthInterval = cmp.Or(s.HealthInterval, time.Second)
	s.HealthTimeout = cmp.Or(s.HealthTimeout, time.Second)
	return s
}

// Runtime holds a host's plugins.
type Runtime struct {
	settings  Settings
	ctx       context.Context
	cancel    context.CancelFunc
	pair      *wire.KeyPair
	starter   *process.Starter
	checksums *process.Checksums
	machine   confine.Machine
	sockets   *process.Sockets
	memory    *wire.Memory
	telemetry *Export // nil: none
	calls     *prometheus.HistogramVec
	callbacks *prometheus.HistogramVec

	mu      sync.Mutex
	plugins map[string]*Plugin
	closed  bool
	number  uint64
}

// New returns a runtime without plugins.
func New(s Settings) (*Runtime, error) {
	r := &Runtime{
		settings: s.withDefaults(), plugins: map[string]*Plugin{}, checksums: &process.Checksums{}, memory: &wire.Memory{},
	}
	if r.settings.Telemetry != nil {
		r.telemetry = r.Export(&telemetryv1.TelemetryService_ServiceDesc, r.settings.Telemetry)
	}
	var err error
	if r.pair, err = wire.NewKeyPair(); err != nil {
		return nil, err
	}
	if r.sockets, err = process.NewSockets(r.settings.SocketDir, r.settings.SocketHint); err != nil {
		return nil, err
	}
	// From a call in-process (10 us) to the longest deadline of the contract (30 s).
	buckets := []float64{.00001, .0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30}
	r.calls = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "loop_call_duration_seconds", Buckets: buckets,
		Help: "How long the host's calls to plugins took, waiting for a plugin to come back included, by plugin, method " +
			"and gRPC code.",
	}, []string{"plugin", "method", "code"})
	r.callbacks = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "loop_callback_duration_seconds", Buckets: buckets,
		Help: "How long plugins' calls to the host took, forwarded ones included, by plugin, method and gRPC code.",
	}, []string{"plugin", "method", "code"})
	if reg := r.settings.Registerer; reg != nil {
		for _, c := range []prometheus.Collector{r.calls, r.callbacks, &collector{r}} {
			if err := reg.Register(c); err != nil {
				r.sockets.Close()
				return nil, fmt.Errorf("registering the runtime's metrics: %w", err)
			}
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.starter = process.NewStarter()
	if r.settings.Adopt {
		if err := r.starter.Adopt(); err != nil {
			r.settings.Logger.Warn("orphaned processes of plugins cannot be adopted", "error", err)
		}
		bounds, grouped, err := r.starter.Group()
		if err != nil {
			r.settings.Logger.Info("plugins have no control groups of their own", "reason", err)
		} else if grouped {
			r.settings.Logger.Info("each plugin runs in a control group of its own", "bounds", bounds)
		}
	}
	return r, nil
}

// Close ends all plugins concurrently, and removes the sockets. It takes less than twice StopTimeout.
func (r *Runtime) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	all := make([]*Plugin, 0, len(r.plugins))
	for _, p := range r.plugins {
		all = append(all, p)
	}
	r.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range all {
		wait.Go(func() { p.Close(ctx) })
	}
	wait.Wait()
	r.cancel()
	r.starter.Close()
	r.sockets.Close()
}

// confinement is the confinement of a plugin, which keeps the host's own files from it.
func (r *Runtime) confinement(s PluginSettings) (*confine.Confinement, error) {
	sockets, err := r.sockets.Dir()
	if err != nil {
		return nil, err
	}
	needs := s.Confine
	needs.Command = s.Command
	needs.Keep = append(append(slices.Clone(needs.Keep), r.settings.Keep...), sockets)
	needs.Machine = &r.machine
	c, err := confine.New(needs)
	if err == nil && c.Why() != "" {
		r.settings.Logger.Warn("a plugin is confined less than configured", "plugin", s.Name, "level", c.Level(),
			"reason", c.Why())
	}
	return c, err
}

func (r *Runtime) add(p *Plugin) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return fmt.Errorf("plugin %s: the host is ending", p.name)
	case r.plugins[p.name] != nil:
		return fmt.Errorf("plugin %s: a plugin of this name runs already", p.name)
	}
	r.plugins[p.name] = p
	return nil
}

func (r *Runtime) remove(p *Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plugins[p.name] == p {
		delete(r.plugins, p.name)
		r.calls.DeletePartialMatch(prometheus.Labels{"plugin": p.name})
		r.callbacks.DeletePartialMatch(prometheus.Labels{"plugin": p.name})
	}
}

// meter is the series of a plugin's calls. A plugin that was removed has none: its last calls must not bring its series
// back.
func (r *Runtime) meter(p *Plugin, calls *prometheus.HistogramVec, method, code string) wire.Meter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plugins[p.name] != p {
		return unmetered{}
	}
	return calls.WithLabelValues(p.name, method, code)
}

// unmetered forgets what it is told.
type unmetered struct{}

// Observe implements wire.Meter.
func (unmetered) Observe(float64) {}

// Plugin returns the plugin of a name, or nil.
func (r *Runtime) Plugin(name string) *Plugin {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.plugins[name]
}

// Plugins returns the plugins by name.
func (r *Runtime) Plugins() []*Plugin {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Plugin, 0, len(r.plugins))
	for _, p := range r.plugins {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Plugin) int { return strings.Compare(a.name, b.name) })
	return all
}

func (r *Runtime) serial() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	return r.number
}

func short(service string) string {
	return strings.TrimSuffix(service[strings.LastIndexByte(service, '.')+1:], "Service")
}
