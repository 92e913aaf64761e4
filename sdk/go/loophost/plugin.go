package loophost

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// PluginSettings say what to run. Exactly one of Command, Attach and InProcess is set.
type PluginSettings struct {
	// Name is the plugin's name, such as "evm" or "median".
	Name string
	// Command is the program and its arguments.
	Command []string
	// Env is the environment of the process, which inherits only PATH.
	Env []string
	// Hint tells a person where the command is configured, such as "check CL_EVM_CMD".
	Hint string
	// MemoryLimit is how many bytes of memory the process and its children may take before the process is killed; 0
	// means no limit. The resident memory is measured every 250 ms once the process is ready. Without /proc it cannot
	// be measured, and a limit is refused.
	MemoryLimit uint64
	// SHA256 are the checksums to which the command's files are pinned, in hexadecimal digits: of the program and, if
	// the first argument that is not an option names a file (an interpreter's script), of that file. Only files with
	// these checksums are started; see process.Settings. Empty means any files.
	SHA256 []string
	// GRPC makes the process be called, and call back, over gRPC only. Otherwise unary calls go by frames if it
	// supports them.
	GRPC bool
	// Confine is what the process needs besides what every plugin gets. Everything else is taken away as far as this
	// machine can. See package confine.
	Confine confine.Needs
	// Attach names the file that a plugin with --debug has written. The host calls that process, but neither ends it
	// nor checks that it answers. When the process ends, the host attaches to the next one that writes the file.
	// Checksums, limits and confinement do not apply.
	Attach string
	// Standby keeps one more process, which has shaken hands but is not initialised. The next generation takes it, so
	// that a crash costs only Init and the objects, in any language. It needs a Command.
	Standby bool
	// Patient makes Launch succeed even if the first generation fails: it returns the plugin, which is down, and
	// further attempts follow as after any other failure.
	Patient bool
	// InProcess runs the plugin inside the host. A hang of its code cannot be ended, and its panics outside calls end
	// the host.
	InProcess *loop.Plugin
}

// Plugin is a plugin with its objects, across the generations of its process. It implements grpc.ClientConnInterface
// for the plugin's own methods.
type Plugin struct {
	runtime   *Runtime
	name      string
	kind      wire.Kind
	settings  PluginSettings
	logger    *slog.Logger
	gate      *gate
	seam      grpc.ClientConnInterface
	calls     wire.Meters
	callbacks wire.Meters
	events    chan event
	ended     chan struct{} // closed when the supervisor has ended

	confinement *confine.Confinement // nil without a process of the host's
	metrics     scraped

	mu         sync.Mutex
	machine    supervise.Machine
	generation *generation      // the current one, from its launch to its end
	successor  *process.Process // started by Restart and not initialised: the next generation takes it
	standby    standby
	journal    *journal.Machine
	objects    map[string]*Object // those of the journal
	lent       map[string]*lent
	deaths     uint64 // ends that nobody asked for
	lastExit   process.Exit
	lastErr    error // why the last generation ended or did not begin
	first      chan struct{}
	firstErr   error
	readyAt    time.Time
	info       *pluginv1.InitResponse
	trace      []process.Step
}

// Launch starts a plugin and waits until its first generation is ready. If that fails, Launch ends the plugin, unless
// the settings are patient, and returns the error: one sentence for people.
func (r *Runtime) Launch(ctx context.Context, kind wire.Kind, s PluginSettings) (*Plugin, error) {
	ways := 0
	for _, given := range []bool{len(s.Command) > 0, s.Attach != "", s.InProcess != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return nil, fmt.Errorf("plugin %s: one of a command, a process to attach to and an in-process plugin is wanted",
			s.Name)
	}
	if s.Standby && len(s.Command) == 0 {
		return nil, fmt.Errorf("plugin %s: only a plugin with a command can have a standby", s.Name)
	}
	if s.MemoryLimit > 0 && !process.TellsMemory() {
		return nil, fmt.Errorf("plugin %s: its memory limit cannot be kept, since this machine does not tell in /proc what "+
			"memory a process takes; mount /proc, or remove the limit", s.Name)
	}
	p := newPlugin(r, kind, s)
	if len(s.Command) > 0 {
		var err error
		if p.confinement, err = r.confinement(s); err != nil {
			return nil, fmt.Errorf("plugin %s: %w", s.Name, err)
		}
	}
	if err := r.add(p); err != nil {
		p.confinement.Close()
		return nil, err
	}
	go p.supervise()
	p.send(supervise.Begin, nil)
	select {
	case <-p.first:
	case <-ctx.Done():
		p.fail(fmt.Errorf("plugin %s: was not ready in time: %w", p.name, ctx.Err()))
	}
	p.mu.Lock()
	err := p.firstErr
	p.mu.Unlock()
	if err != nil && !(s.Patient && ctx.Err() == nil) {
		p.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return p, nil
}

func newPlugin(r *Runtime, kind wire.Kind, s PluginSettings) *Plugin {
	p := &Plugin{
		runtime: r, name: s.Name, kind: kind, settings: s,
		logger:  r.settings.Logger.With("plugin", s.Name),
		gate:    newGate(),
		events:  make(chan event),
		ended:   make(chan struct{}),
		objects: map[string]*Object{}, lent: map[string]*lent{},
		first:   make(chan struct{}),
		metrics: scraped{turn: make(chan struct{}, 1)},
	}
	p.calls.Make = func(method, code string) wire.Meter { return r.meter(p, r.calls, method, code) }
	p.callbacks.Make = func(method, code string) wire.Meter { return r.meter(p, r.callbacks, method, code) }
	jitter := func() float64 { return 0.5 + rand.Float64() }
	p.machine.Jitter, p.journal = jitter, journal.New(p.name, jitter)
	p.seam = wire.Bind(&gated{plugin: p, what: "plugin " + p.name, gate: p.gate}, "")
	if t := r.telemetry; t != nil {
		p.lendLocked(Loan{Lent: t, Services: []string{t.desc.ServiceName}})
	}
	return p
}

// Name returns the plugin's name.
func (p *Plugin) Name() string { return p.name }

// Invoke implements grpc.ClientConnInterface.
func (p *Plugin) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	begin := time.Now()
	err := p.seam.Invoke(ctx, method, args, reply, opts...)
	p.observe(method, err, begin)
	return err
}

// NewStream implements grpc.ClientConnInterface.
func (p *Plugin) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return p.seam.NewStream(ctx, desc, method, opts...)
}

// Create implements Maker.
func (p *Plugin) Create(c Constructor, options ...CreateOption) *Object {
	return p.create("", c, options)
}

func (p *Plugin) create(parent string, c Constructor, options []CreateOption) *Object {
	o := newObject(p, parent, c, options)
	refuse := func(code codes.Code, format string, a ...any) *Object {
		o.gate.set(nil, status.Errorf(code, format, a...), true)
		return o
	}
	borrows := false
	for _, l := range c.Loans {
		if l.Lent == nil {
			return refuse(codes.InvalidArgument, "%s: nothing was lent for %s", c.Method, l.Field)
		}
		for _, s := range l.Services {
			if !l.Lent.serves(s) {
				return refuse(codes.InvalidArgument, "%s: %s does not serve %s, which %s wants", c.Method, l.Lent.Name(),
					s, l.Field)
			}
		}
		l.Set(l.Lent.Name())
		borrows = borrows || l.Lent.ready() != nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.objects[c.Name]; old != nil {
		if old.parent == parent && old.spec.Method == c.Method && proto.Equal(old.spec.Request, c.Request) {
			return old
		}
		return refuse(codes.AlreadyExists, "%s was made by another request", o)
	}
	p.objects[c.Name] = o
	p.stepLocked(journal.Event{What: journal.Create, Object: c.Name, Parent: parent, Borrows: borrows})
	if p.journal.Look(c.Name).State == Released {
		delete(p.objects, c.Name) // its parent has been released
	}
	return o
}

// Restart replaces the plugin's process by a new one of the same command, which may be another binary by now, and lifts
// a quarantine. The new process is started and has shaken hands before the old one drains. If it fails, the old one
// stays and the error says why. Callers wait meanwhile, and calls that finish within the drain are not lost.
func (p *Plugin) Restart(ctx context.Context) error {
	if p.settings.InProcess != nil {
		return fmt.Errorf("plugin %s runs inside the node: restart the node", p.name)
	}
	start, cancel := context.WithTimeout(ctx, p.runtime.settings.StartTimeout)
	defer cancel()
	defer context.AfterFunc(p.runtime.ctx, cancel)() // Close does not wait for a process that nobody has initialised yet
	next, err := p.startProcess(start, nil)
	if err != nil {
		return err
	}
	p.mu.Lock()
	old, stopping, generation := p.successor, p.machine.Stopping(), p.machine.Generation()
	if !stopping {
		p.successor = next
	}
	p.mu.Unlock()
	if stopping {
		next.Kill()
		return fmt.Errorf("plugin %s is ending", p.name)
	}
	if old != nil {
		old.Kill() // two restarts at once: the later binary counts
	}
	p.send(supervise.Restart, nil)
	p.replaceStandby()
	for {
		s := p.gate.now.Load()
		if s.generation != nil && s.generation.number > generation {
			return nil
		}
		select {
		case <-s.changed:
		case <-p.ended:
			return fmt.Errorf("plugin %s was stopped", p.name)
		case <-ctx.Done():
			if s.blocked != nil {
				return s.blocked
			}
			return fmt.Errorf("plugin %s did not become ready again: %w", p.name, ctx.Err())
		}
	}
}

// takeSuccessor hands over the process that Restart has started, or else the standby; nil if there is none.
func (p *Plugin) takeSuccessor() *process.Process {
	p.mu.Lock()
	next := p.successor
	p.successor = nil
	p.mu.Unlock()
	if next != nil {
		return next
	}
	return p.takeStandby()
}

// Close ends the plugin by a drain, then SIGTERM, then SIGKILL, within less than twice the runtime's
// StopTimeout.
func (p *Plugin) Close(ctx context.Context) {
	p.send(supervise.Stop, nil)
	select {
	case <-p.ended:
	case <-ctx.Done():
		if l := p.current(); l != nil {
			l.kill()
		}
		<-p.ended
	}
	p.runtime.remove(p)
	if next := p.takeSuccessor(); next != nil {
		next.Kill()
	}
}

func (p *Plugin) current() *generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// observe counts a call.
func (p *Plugin) observe(method string, err error, begin time.Time) {
	p.calls.Observe(method, status.Code(err), time.Since(begin))
}
