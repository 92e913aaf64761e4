// Package process runs one generation of a plugin. It starts the command over hashicorp/go-plugin's handshake with
// mutual TLS on P-256, watches the process, makes its output harmless and bounds its end.
//
// It knows processes and connections. It must not know objects, loans or the purpose of any plugin.
package process

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// Settings say what to start.
type Settings struct {
	// Name is the plugin's name in errors and logs.
	Name string
	// Kind is the kind that the process must have.
	Kind wire.Kind
	// Command is the program and its arguments; the program is looked up in the host's PATH.
	Command []string
	// Env is the whole environment of the process besides PATH and the variables of the handshake.
	Env []string
	// SHA256 are the checksums that the command's files must have, in hexadecimal digits: of the program and, if the
	// first argument that is not an option names a file, of that file. The process starts exactly the checked files: on
	// Linux by their open descriptors, elsewhere by their paths, which are checked again after the start. Empty means
	// any files.
	SHA256 []string
	// Checksums remembers the checksums of files that have not changed. The processes of a host share one. Default: a
	// new one.
	Checksums *Checksums
	// Hint tells a person where the command is configured, such as "check CL_EVM_CMD".
	Hint string
	// Logger receives the process's log.
	Logger *slog.Logger
	// Sockets is the host's folder for sockets.
	Sockets *Sockets
	// StartTimeout bounds the time from the start to the answer to the first call, a health check.
	StartTimeout time.Duration
	// Host is the host's key pair. The process trusts only its certificate.
	Host *wire.KeyPair
	// Starter starts the process.
	Starter *Starter
	// GRPC makes calls to the process go over gRPC only, even if it serves frames.
	GRPC bool
	// Memory bounds the memory of long answers from the process together. If it is nil, they are not bounded together.
	Memory *wire.Memory
	// Trace, if set, records the steps of the start.
	Trace *Trace
	// Confinement is how the process is confined; nil means not at all.
	Confinement *confine.Confinement
	// Limits bound the process and everything that it starts, if the starter has control groups.
	Limits cgroup.Limits
}

// Exit describes how a process ended.
type Exit struct {
	// Reason is one phrase: "exit status 2", "signal: killed".
	Reason string
	// Stderr holds the last lines of its stderr.
	Stderr []string
}

// String returns the exit as the end of a sentence.
func (e Exit) String() string {
	if len(e.Stderr) == 0 {
		return e.Reason
	}
	return e.Reason + "; it said: " + strings.Join(e.Stderr, " / ")
}

// Process is a running plugin process.
type Process struct {
	// Conn is the connection to the plugin.
	Conn   Conn
	framed bool // unary calls go as frames
	runner *runner
	once   sync.Once

	attached *attached // then there is no runner
}

// Conn is a connection to a plugin.
type Conn interface {
	grpc.ClientConnInterface
	Close() error
}

// connect makes the connections to a plugin at a target of gRPC's, and a first call, which fails if the plugin does not
// hold its key. It calls by frames if the plugin has them. gRPC then connects only for the first stream, since a
// plugin's gRPC may be a library that takes longer to load than all the rest.
func (p *Process) connect(ctx context.Context, target string, config *tls.Config, s Settings) error {
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.CodecWithin(s.Memory)),
			grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
		grpc.WithNoProxy(),
		// an idle connection would be closed, and the plugin's socket may be gone from its folder by the next stream
		grpc.WithIdleTimeout(0))
	if err != nil {
		return err
	}
	p.Conn = conn
	if !s.GRPC {
		ch := frames.Over(conn, target, config)
		ch.Within(s.Memory)
		if ch.Connect(ctx) == nil {
			p.Conn, p.framed = ch, true
		}
	}
	_, err = grpc_health_v1.NewHealthClient(p.Conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	return err
}

// Framed reports whether unary calls go to the process by frames.
func (p *Process) Framed() bool { return p.framed }

// Start starts a process and returns when it serves. Its errors are one sentence each, for people.
func Start(ctx context.Context, s Settings) (*Process, error) {
	if s.Checksums == nil {
		s.Checksums = &Checksums{}
	}
	if s.Trace == nil {
		s.Trace = NewTrace()
	}
	folder, err := s.Sockets.folder(s.Confinement.User() != 0)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.StartTimeout)
	defer cancel()
	r := newRunner(s, folder)
	config := &plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  uint(s.Kind.ProtocolVersion),
			MagicCookieKey:   wire.CookieKey,
			MagicCookieValue: s.Kind.Cookie,
		},
		Plugins:          plugin.PluginSet{}, // we make the connection ourselves
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(), // what it says is said better by our own errors and the process's own log
		SkipHostEnv:      true,
		StartTimeout:     2 * s.StartTimeout, // ctx ends it before, and asks what the process does
		RunnerFunc:       r.take,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: folder},
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{s.Host.TLS},
			MinVersion:   tls.VersionTLS12,
			ServerName:   "localhost",
			// its checks of names and dates do not fit other SDKs' certificates
			InsecureSkipVerify: true, //nolint:gosec // VerifyConnection takes one alone
			VerifyConnection:   func(c tls.ConnectionState) error { return wire.Exactly(r.certificate())(c) },
		},
	}
	p := &Process{runner: r}
	// go-plugin's calls take no context: they run in a goroutine, and an end of ctx ends the process under them.
	done := make(chan error, 1)
	go func() {
		_, err := plugin.NewClient(config).Start()
		if err == nil {
			err = p.connect(ctx, r.address(), config.TLSConfig, s)
			s.Trace.Done("TLS and the first call")
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.question()
		}
		r.kill()
		if err = <-done; err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		p.Kill()
		return nil, s.explain(ctx, r, err)
	}
	return p, nil
}

// endedEarly is a process that ended before its handshake.
type endedEarly struct{ error }

// EndedEarly reports whether an error of Start says that the process ended before its handshake, as a plugin of another
// kind does.
func EndedEarly(err error) bool {
	var early *endedEarly
	return errors.As(err, &early)
}

// explain makes one sentence of what went wrong: what was tried, what happened, what to do.
func (s Settings) explain(ctx context.Context, r *runner, err error) error {
	var pin *pinError
	if errors.As(err, &pin) {
		return fmt.Errorf("plugin %s: %w; %s", s.Name, pin, s.Hint)
	}
	command := strings.Join(s.Command, " ")
	say := func(format string, args ...any) error {
		return fmt.Errorf("plugin %s: %s; %s", s.Name, fmt.Sprintf(format, args...), s.Hint)
	}
	var start *startError
	if errors.As(err, &start) {
		if errors.Is(start.err, errEnded) {
			return fmt.Errorf("plugin %s: %w", s.Name, errEnded) // where its command is configured is of no help
		}
		return say("starting %q failed: %v", command, start.err)
	}
	if problem := r.handshakeProblem(s.Kind); problem != "" {
		return say("%q %s", command, problem)
	}
	if exit, ended := r.exited(); ended && !r.wasKilled() {
		return &endedEarly{say("%q ended before its handshake (%s)%s", command, exit, s.denied(exit))}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return say("%q was ended while it started", command)
	}
	if !r.shookHands() {
		return say("%q printed no handshake within %s: it is not a LOOP plugin, or too slow%s", command, s.StartTimeout,
			r.answer())
	}
	if ctx.Err() != nil {
		return say("%q shook hands and did not answer within %s%s", command, s.StartTimeout, r.answer())
	}
	return say("%q shook hands but does not answer over mutual TLS: %v", command, ofClocks(err))
}

// denied says that a process may have ended because of its confinement.
func (s Settings) denied(exit Exit) string {
	said := strings.ToLower(strings.Join(exit.Stderr, " "))
	level := s.Confinement.Level()
	if level == confine.None || !strings.Contains(said, "permission denied") && !strings.Contains(said, "eacces") {
		return ""
	}
	return fmt.Sprintf("; it is confined at the level %q: what it needs besides its own can be allowed (Read, Write, "+
		"Connect)", level)
}

// ofClocks says what to set if the other end refuses a certificate because of its dates. Ours are valid at all times,
// so that this takes an older SDK's file of a debugged plugin, or a clock that says that it is not yet 1970.
func ofClocks(err error) error {
	if strings.Contains(err.Error(), "tls: expired certificate") { // gRPC keeps only its text
		return fmt.Errorf("%w: by the clock that the plugin reads, a certificate is not valid; set this machine's clock "+
			"and start both anew", err)
	}
	return err
}

// PID returns the process id, which is also the id of its group.
func (p *Process) PID() int {
	if p.Attached() {
		return p.attached.pid
	}
	return p.runner.pid()
}

// Memory returns the resident memory of the process and its descendants in bytes; 0 if it is not known.
func (p *Process) Memory() uint64 {
	if p.Attached() {
		return p.attached.family.resident()
	}
	return p.runner.kin().resident()
}

// Delay returns how long the current threads of the process have waited for a processor since they began, in total; 0
// if it is not known. It grows fast while the machine is too busy to run the process.
func (p *Process) Delay() time.Duration {
	_, waited := turns(p.PID())
	return waited
}

// Checksums returns the checksums of the files that the process was started from. There are none after its end, and
// none for an attached process.
func (p *Process) Checksums() ([]Checksum, error) {
	if p.Attached() {
		return nil, nil
	}
	return p.runner.checksums()
}

// Outdated reports whether the command would start other files now than those that the process was started from:
// another build, or none. For an attached process it is not known, and false.
func (p *Process) Outdated() bool { return !p.Attached() && p.runner.outdated() }

// Exited is closed when the process has ended, its group is dead and its pipes are closed; for an attached process,
// when the host has detached from it.
func (p *Process) Exited() <-chan struct{} {
	if p.Attached() {
		return p.attached.done
	}
	return p.runner.done
}

// Exit describes how the process ended, once Exited is closed.
func (p *Process) Exit() Exit {
	if p.Attached() {
		return Exit{Reason: "the host let go of a process that it had attached to"}
	}
	e, _ := p.runner.exited()
	return e
}

// HangUp closes the connection to the plugin.
func (p *Process) HangUp() { _ = p.Conn.Close() }

// Terminate sends SIGTERM to the process's group.
func (p *Process) Terminate() {
	if !p.Attached() {
		p.runner.signal(syscall.SIGTERM)
	}
}

// Kill ends the process's group at once and frees the resources of the generation. It detaches from an attached
// process, which goes on. It may be called more than once, and concurrently.
func (p *Process) Kill() {
	if p.Attached() {
		p.letGo()
		return
	}
	p.runner.kill()
	p.once.Do(func() {
		// The group is dead, and go-plugin's goroutines end with the pipes. Its Kill would connect to the process once more.
		if p.Conn != nil {
			_ = p.Conn.Close() // a host can do nothing about an error
		}
		p.runner.settings.Sockets.remove(p.runner.folder)
	})
}
