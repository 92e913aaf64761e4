package loophost

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// Status is the state of a plugin.
type Status struct {
	Name      string
	Kind      string
	State     supervise.State
	InProcess bool
	// PID is the process id; 0 if there is no process.
	PID int
	// Generation is the number of the current generation, from 1.
	Generation uint64
	// Restarts counts the generations that ended although nobody asked for it.
	Restarts uint64
	// ReadyAt is when the serving generation became ready; the zero time if none serves.
	ReadyAt time.Time
	// LastExit says how the last generation ended or why it did not start, in one sentence; empty before the first end.
	LastExit string
	// LastStderr holds the last lines of stderr of the last generation that ended.
	LastStderr []string
	// MemoryLimit is the memory at which the process is killed; 0 means no limit.
	MemoryLimit uint64
	// Pinned reports whether the plugin's files must have certain checksums.
	Pinned bool
	// Transport is how unary calls go to the process, "loop/1" or "grpc"; empty if there is no process.
	Transport string
	// Start has the steps of the start of the generation that became ready last.
	Start []process.Step
	// Standby is the state of the standby; nil if there should be none.
	Standby *StandbyStatus
	// Confinement is the level in force: confine.None and so on; empty if the host does not start the plugin's process.
	Confinement confine.Level
	// Lacks are the parts of that level that this machine is too old to support.
	Lacks []string
	// Version and Runtime are what the plugin reports about itself.
	Version, Runtime string
	Objects          []ObjectStatus
}

// ObjectStatus is the state of an object.
type ObjectStatus struct {
	Name   string
	Type   string
	State  ObjectState
	Reason string
	Parent string
}

// Status returns the state of the plugin, with its objects in the order of their creation. It asks nothing of the
// machine, so that it may be called often: Memory, which reads all of /proc, is apart.
func (p *Plugin) Status() Status {
	p.mu.Lock()
	l := p.generation
	p.mu.Unlock()
	pid, transport := 0, ""
	if l != nil && !l.dying() {
		pid, transport = l.pid(), l.transport()
	}
	standby := p.standbyStatus()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{
		Name: p.name, Kind: p.kind.Name, State: p.machine.State(), InProcess: p.settings.InProcess != nil, PID: pid,
		Generation: p.machine.Generation(), Restarts: p.deaths, LastStderr: p.lastExit.Stderr,
		MemoryLimit: p.settings.MemoryLimit, Pinned: len(p.settings.SHA256) > 0, Transport: transport,
		Version: p.info.GetVersion(), Runtime: p.info.GetRuntime(), Standby: standby, Start: p.trace,
	}
	if c := p.confinement; c != nil {
		s.Confinement, s.Lacks = c.Level(), c.Lacks()
	}
	if s.State == supervise.Ready {
		s.ReadyAt = p.readyAt
	}
	if p.lastErr != nil {
		s.LastExit = p.lastExitLocked()
	}
	for _, o := range p.journal.Objects() {
		st := ObjectStatus{Name: o.Name, Type: p.objects[o.Name].spec.Type, State: o.State, Parent: o.Parent}
		if o.Reason != nil {
			st.Reason = o.Reason.Error()
		}
		s.Objects = append(s.Objects, st)
	}
	return s
}

// longestExit is how long a sentence on an end may be, in characters: the longest of ours has a path and two checksums.
// LastStderr has the rest of what a plugin said.
const longestExit = 512

// brief is a text in one line that fits a table.
func brief(text string) string {
	shown := []rune(strings.Join(strings.Fields(text), " "))
	if len(shown) > longestExit {
		return string(shown[:longestExit-1]) + "…"
	}
	return string(shown)
}

// lastExitLocked is why the last generation ended, for readers who are told the plugin's name beside it.
func (p *Plugin) lastExitLocked() string {
	return brief(strings.TrimPrefix(p.lastErr.Error(), "plugin "+p.name+": "))
}

// Checksums returns the SHA-256 checksums of the files that the plugin's process was started from; none if it has no
// process.
func (p *Plugin) Checksums() ([]process.Checksum, error) {
	l := p.current()
	if l == nil || l.dying() {
		return nil, nil
	}
	l.mu.Lock()
	proc := l.proc
	l.mu.Unlock()
	if proc == nil {
		return nil, nil
	}
	return proc.Checksums()
}

// FilesNow returns the checksums of the files that the plugin's command would start now. They differ from Checksums if
// the files were replaced since. There are none for a plugin without a command.
func (p *Plugin) FilesNow() ([]process.Checksum, error) {
	if len(p.settings.Command) == 0 {
		return nil, nil
	}
	return p.runtime.checksums.Of(p.settings.Command)
}

// ChecksumsOf returns the SHA-256 checksums of the files that a command would start now. It starts nothing.
func (r *Runtime) ChecksumsOf(command []string) ([]process.Checksum, error) {
	return r.checksums.Of(command)
}

// Memory returns the resident memory of the plugin's process and of its standby in bytes, each with its children; 0 if
// there is none, or if this machine does not tell.
func (p *Plugin) Memory() (serving, standby uint64) {
	p.mu.Lock()
	l, waiting := p.generation, p.standby.proc
	p.mu.Unlock()
	if l != nil && !l.dying() {
		serving = l.memory()
	}
	if waiting != nil {
		standby = waiting.Memory()
	}
	return serving, standby
}

// memory is what the process takes, in bytes.
func (l *generation) memory() uint64 {
	l.mu.Lock()
	proc := l.proc
	l.mu.Unlock()
	if proc == nil {
		return 0
	}
	return proc.Memory()
}

// collector exposes the plugins' states.
type collector struct{ r *Runtime }

var (
	upDesc = prometheus.NewDesc("loop_plugin_up", "Whether the plugin serves (1) or not (0).", []string{"plugin"},
		nil)
	restartsDesc = prometheus.NewDesc("loop_plugin_restarts_total",
		"Generations of the plugin that ended though nobody asked for it.",
		[]string{"plugin"}, nil)
	memoryDesc = prometheus.NewDesc("loop_plugin_memory_bytes",
		"Resident memory of the plugin's process and its children.", []string{"plugin"}, nil)
	objectsDesc = prometheus.NewDesc("loop_plugin_objects", "Objects in the plugin, by state.",
		[]string{"plugin", "state"}, nil)
)

// Describe implements prometheus.Collector.
func (*collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- upDesc
	ch <- restartsDesc
	ch <- memoryDesc
	ch <- objectsDesc
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.r.Plugins() {
		s := p.Status()
		up := 0.
		if s.State == supervise.Ready {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, up, s.Name)
		ch <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(s.Restarts), s.Name)
		if used, _ := p.Memory(); used > 0 {
			ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(used), s.Name)
		}
		states := map[ObjectState]int{Creating: 0, Open: 0, Parked: 0}
		for _, o := range s.Objects {
			states[o.State]++
		}
		for state, n := range states {
			ch <- prometheus.MustNewConstMetric(objectsDesc, prometheus.GaugeValue, float64(n), s.Name, state.String())
		}
	}
}
