package loophost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost/process"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// generation is one generation of a plugin: a process with its connection and its callback server, or their in-process
// stand-ins.
type generation struct {
	plugin *Plugin
	number uint64          // from 1
	ctx    context.Context // ends as soon as the end is noticed
	cancel context.CancelFunc
	probes chan struct{}
	calls  atomic.Int64 // in flight from the host
	trace  *process.Trace

	// Set before the generation becomes ready, and not changed after.
	conn grpc.ClientConnInterface
	proc *process.Process // nil in-process
	info *pluginv1.InitResponse

	ready bool  // guarded by plugin.mu
	err   error // why it never became ready
	exit  process.Exit
	// verdict is why the host ended it, when it did.
	verdict string

	mu     sync.Mutex
	killed bool
	asked  bool // its end was asked for
}

func newGeneration(p *Plugin, number uint64) *generation {
	l := &generation{plugin: p, number: number, probes: make(chan struct{}, 1), trace: process.NewTrace()}
	l.ctx, l.cancel = context.WithCancel(p.runtime.ctx)
	return l
}

func (l *generation) dying() bool            { return l.ctx.Err() != nil }
func (l *generation) ended() <-chan struct{} { return l.ctx.Done() }

func (l *generation) isReady() bool {
	l.plugin.mu.Lock()
	defer l.plugin.mu.Unlock()
	return l.ready
}

// transport is how unary calls go to the process; empty in-process.
func (l *generation) transport() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.proc == nil:
		return ""
	case l.proc.Framed():
		return frames.Protocol
	}
	return "grpc"
}

func (l *generation) pid() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proc == nil {
		return 0
	}
	return l.proc.PID()
}

// run begins the generation, watches it, and tells the supervisor of its readiness and its end. When it reports the
// end, nothing of the generation is left.
func (l *generation) run() {
	callbacks, err := l.begin()
	if err == nil {
		l.plugin.send(supervise.BecameReady, l)
		l.watch()
	} else {
		l.err = err
	}
	l.cancel()
	l.mu.Lock()
	proc := l.proc
	l.mu.Unlock()
	if proc != nil {
		proc.Kill()
		l.exit = proc.Exit()
		if l.verdict != "" {
			l.exit.Reason = l.verdict
		}
	}
	// The group is dead; the handlers that serve it are drained before the next generation begins.
	if callbacks != nil {
		callbacks.close(l.plugin.logger)
	}
	if err != nil && l.plugin.fail(err) && !l.plugin.settings.Patient {
		l.plugin.send(supervise.Stop, nil) // a plugin that cannot be launched at all is not launched again
	}
	l.plugin.send(supervise.Died, l)
}

// begin starts the process and initialises it.
func (l *generation) begin() (*callbacks, error) {
	p := l.plugin
	ctx, cancel := context.WithTimeout(l.ctx, p.runtime.settings.StartTimeout)
	defer cancel()
	if p.settings.InProcess != nil {
		return l.beginInProcess(ctx)
	}
	// The key for its callbacks takes a while to make, and the process takes as long to start.
	var cb *callbacks
	var failed error
	var both sync.WaitGroup
	both.Go(func() { cb, failed = newCallbacks(l) })
	proc, err := p.takeSuccessor(), error(nil)
	if proc == nil {
		proc, err = p.startProcess(ctx, l.trace)
	}
	both.Wait()
	if err == nil && failed != nil {
		proc.Kill()
		err = failed
	}
	if err != nil {
		return cb, err
	}
	l.trace.Done("a certificate and a socket for its calls")
	l.mu.Lock()
	l.proc = proc
	killed := l.killed
	l.mu.Unlock()
	if killed {
		return cb, fmt.Errorf("plugin %s: ended while it started", p.name)
	}
	l.conn = proc.Conn
	context.AfterFunc(l.ctx, proc.Kill) // the runtime's end, or a kill
	go func() {
		<-proc.Exited()
		l.cancel()
	}()
	return cb, l.init(ctx, cb)
}

// startProcess starts a process and shakes hands with it. Nothing calls it before Init.
func (p *Plugin) startProcess(ctx context.Context, trace *process.Trace) (*process.Process, error) {
	s := p.runtime.settings
	if p.settings.Attach != "" {
		return process.Attach(ctx, process.Settings{
			Name: p.name, Kind: p.kind, Hint: p.settings.Hint, GRPC: p.settings.GRPC, Memory: p.runtime.memory,
		}, p.settings.Attach)
	}
	return process.Start(ctx, process.Settings{
		SHA256: p.settings.SHA256, Checksums: p.runtime.checksums,
		Name: p.name, Kind: p.kind, Command: p.settings.Command, Hint: p.settings.Hint,
		Env:    append([]string{wire.LogLevelKey + "=" + s.PluginLogLevel.Level().String()}, p.settings.Env...),
		Logger: p.logger, Sockets: p.runtime.sockets, StartTimeout: s.StartTimeout,
		Host: p.runtime.pair, Starter: p.runtime.starter, GRPC: p.settings.GRPC, Confinement: p.confinement, Trace: trace,
		Limits: p.bounds(), Memory: p.runtime.memory,
	})
}

func (l *generation) beginInProcess(ctx context.Context) (*callbacks, error) {
	p := l.plugin
	up, down := inprocess.New(), inprocess.New()
	cb := &callbacks{dispatcher: l.dispatcher()}
	cb.register(up)
	loop.InProcess(*p.settings.InProcess, p.logger, down, up)
	l.conn = down
	cb.init = insideRequest()
	return cb, l.init(ctx, cb)
}

func (l *generation) init(ctx context.Context, cb *callbacks) error {
	r := cb.init
	r.Generation, r.MaxMessageBytes, r.HostVersion = l.number, wire.MaxMessageBytes, l.plugin.runtime.settings.Version
	if t := l.plugin.runtime.telemetry; t != nil {
		r.Telemetry = t.name
	}
	info, err := pluginv1.NewLifecycleServiceClient(wire.Bind(l.conn, "")).Init(ctx, r)
	if err != nil {
		return fmt.Errorf("plugin %s: started but did not take LifecycleService.Init: %s; is it built for this host's "+
			"contract?", l.plugin.name, status.Convert(err).Message())
	}
	l.info = info
	l.trace.Done("Init")
	return nil
}

// memoryInterval is the time between two looks at a process's memory: a process that takes a gigabyte a second is
// caught within a quarter of one.
const memoryInterval = 250 * time.Millisecond

// watch returns when the process has ended, hangs or takes too much memory. A generation in-process ends only with the
// plugin.
func (l *generation) watch() {
	if l.proc == nil {
		<-l.ctx.Done()
		return
	}
	s := l.plugin.runtime.settings
	tick := time.NewTicker(s.HealthInterval)
	defer tick.Stop()
	if l.proc.Attached() {
		l.watchAttached(tick.C)
		return
	}
	var memory <-chan time.Time
	if l.plugin.settings.MemoryLimit > 0 {
		t := time.NewTicker(memoryInterval)
		defer t.Stop()
		memory = t.C
	}
	ctx, cancel := context.WithCancel(l.ctx)
	answers, checking := make(chan answer, 1), false
	defer func() {
		cancel()
		if checking {
			<-answers
		}
	}()
	for {
		due, asked := tick.C, l.probes
		if checking { // it may take a while, and memory is still measured
			due, asked = nil, nil
		}
		select {
		case <-l.ctx.Done():
			return
		case <-memory:
			if used := l.proc.Memory(); used > l.plugin.settings.MemoryLimit {
				l.verdict = overLimit(used, l.plugin.settings.MemoryLimit)
				l.plugin.logger.Error("the plugin takes more memory than its limit and is killed", "generation", l.number,
					"pid", l.pid(), "bytes", used, "limit", l.plugin.settings.MemoryLimit)
				return
			}
			continue
		case a := <-answers:
			if checking, l.verdict = false, a.verdict; l.verdict != "" {
				l.plugin.logger.Error("the plugin does not answer and is killed", "generation", l.number, "pid", l.pid(),
					"reason", l.verdict, "error", a.err)
				return
			}
			continue
		case <-due:
		case <-asked:
		}
		checking = true
		go func() { answers <- check(ctx, l.conn, s.HealthTimeout, l.proc.Delay) }()
	}
}

// overLimit is the reason for killing a process that takes more memory than it may.
func overLimit(used, limit uint64) string {
	return fmt.Sprintf("killed at %d MiB of memory; its limit is %d MiB", used>>20, limit>>20)
}

// watchAttached returns when a plugin that is being debugged has ended. One that does not answer may have been stopped
// by the person who debugs it.
func (l *generation) watchAttached(tick <-chan time.Time) {
	health := grpc_health_v1.NewHealthClient(l.conn)
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick:
		case <-l.probes:
		}
		ctx, cancel := context.WithTimeout(l.ctx, l.plugin.runtime.settings.HealthTimeout)
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
		cancel()
		if status.Code(err) == codes.Unavailable && !l.dying() {
			l.verdict = "the process that it was attached to does not listen any more"
			return
		}
	}
}

// wasAsked reports whether the generation's end was asked for.
func (l *generation) wasAsked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// probe asks for a health check now.
func (l *generation) probe() {
	select {
	case l.probes <- struct{}{}:
	default: // one is due
	}
}

// kill ends the generation at once.
func (l *generation) kill() {
	l.mu.Lock()
	l.killed = true
	l.mu.Unlock()
	l.cancel()
}

// end ends the generation: calls in flight have a third of the bound, then the plugin has half of it to drain, then the
// process half of it to end, after SIGTERM if the plugin did not drain. SIGKILL comes last.
func (l *generation) end(bound time.Duration) {
	defer l.kill()
	l.mu.Lock()
	l.asked = true
	l.mu.Unlock()
	if !l.isReady() || l.dying() || l.proc != nil && l.proc.Attached() {
		return // an attached process goes on
	}
	// A call that the gate let through before it was shut may not have been sent yet: it would come to a process that has
	// drained, and ended.
	l.quiet(bound / 3)
	// Not bound to the generation's context: the generation is meant to end under the call.
	ctx, cancel := context.WithTimeout(context.Background(), bound/2)
	_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(l.conn, "")).Drain(ctx,
		&pluginv1.DrainRequest{Grace: durationpb.New(bound / 3)})
	cancel()
	if l.proc == nil {
		return
	}
	switch {
	case err == nil:
		// The plugin has finished its calls, but an answer may be on its way: to hang up on it would lose it.
		l.quiet(bound / 3)
		l.proc.HangUp() // its server ends with its last connection, and the process with its server
	case !l.dying():
		l.plugin.logger.Warn("the plugin did not drain", "error", err)
		l.proc.Terminate()
	}
	select {
	case <-l.proc.Exited():
	case <-time.After(bound / 2):
	}
}

// quiet waits until none of the host's calls is in flight, at most for patience.
func (l *generation) quiet(patience time.Duration) {
	for end := time.Now().Add(patience); l.calls.Load() > 0 && time.Now().Before(end) && !l.dying(); {
		time.Sleep(time.Millisecond)
	}
}

// callbacks is the server that a process calls back. It accepts only the certificate that was made for that process.
type callbacks struct {
	dispatcher *wire.Dispatcher
	server     *grpc.Server // nil in-process
	framed     *frames.Server
	init       *pluginv1.InitRequest
}

func (l *generation) dispatcher() *wire.Dispatcher {
	d := wire.NewDispatcher(wire.DispatcherSettings{Resolver: loans{l.plugin}, Logger: l.plugin.logger,
		Observe: l.plugin.callbacks.Observe})
	d.SetGeneration(l.number)
	return d
}

func newCallbacks(l *generation) (*callbacks, error) {
	r := l.plugin.runtime
	client, err := wire.NewKeyPair()
	if err != nil {
		return nil, err
	}
	config, err := wire.ServerTLS(r.pair.TLS, client.CertificatePEM)
	if err != nil {
		return nil, err
	}
	sockets, err := r.sockets.Dir()
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", l.plugin.name, err)
	}
	path := filepath.Join(sockets, fmt.Sprintf("h%d", r.serial()))
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: opening the socket on which it calls back failed: %w", l.plugin.name, err)
	}
	if err := l.plugin.confinement.Own(path); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("plugin %s: %w", l.plugin.name, err)
	}
	cb := &callbacks{dispatcher: l.dispatcher(), framed: frames.NewServer(l.plugin.logger)}
	cb.framed.Within(r.memory)
	creds := frames.Credentials(config, cb.framed)
	if l.plugin.settings.GRPC {
		creds = credentials.NewTLS(config)
	}
	due := l.newBudget()
	cb.server = grpc.NewServer(append(append(limits(), due.options()...), grpc.Creds(admitting{creds}),
		grpc.ForceServerCodecV2(bounding{wire.CodecWithin(r.memory), due, r.memory}), grpc.WaitForHandlers(true))...)
	cb.register(cb.framed.Beside(budgeted{cb.server, due}))
	cb.init = &pluginv1.InitRequest{
		HostAddress:          "unix:" + path,
		HostCertificatePem:   string(r.pair.CertificatePEM),
		ClientCertificatePem: string(client.CertificatePEM),
		ClientKeyPem:         string(client.KeyPEM),
	}
	go func() {
		if err := cb.server.Serve(&callers{Listener: listener, logger: l.plugin.logger}); err != nil &&
			!errors.Is(err, grpc.ErrServerStopped) {
			l.plugin.logger.Error("the server on which the plugin calls back ended", "error", err)
		}
	}()
	return cb, nil
}

// register serves every object service of the contract: what is lent decides which of them answer.
func (cb *callbacks) register(registrar grpc.ServiceRegistrar) {
	for _, s := range wire.ObjectServices() {
		cb.dispatcher.Register(registrar, exported(s))
	}
}

// drainCallbacks bounds the wait for handlers that serve a dead process; their contexts have ended.
const drainCallbacks = 2 * time.Second

func (cb *callbacks) close(logger *slog.Logger) {
	if cb.server == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		var both sync.WaitGroup
		both.Go(cb.server.Stop)
		both.Go(cb.framed.Stop)
		both.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainCallbacks):
		logger.Warn("a handler has not ended although its calling plugin has")
	}
}
