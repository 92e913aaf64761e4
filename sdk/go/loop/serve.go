package loop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	rundebug "runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// Plugin is what generated code passes to Serve and to the in-process binding.
type Plugin struct {
	Kind wire.Kind
	// Root is the descriptor of the kind's root service.
	Root *grpc.ServiceDesc
	// Objects are the services of all objects that a plugin of this kind can make.
	Objects []*grpc.ServiceDesc
	// New makes the author's root from the host.
	New func(*Host) any
}

// stopGrace is how long an ending server may take to finish its last replies before it is cut off, in steps of
// stopStep. A step in which the process gets no processor counts as one: its last replies would be lost with it.
const stopGrace, stopStep = time.Second, 50 * time.Millisecond

// Serve serves a plugin until the host ends it or is gone. It is the only line of a plugin's main: if something fails
// before a host is connected, Serve prints it to stderr and exits with status 1.
func Serve(p Plugin) {
	name := filepath.Base(os.Args[0])
	if len(os.Args) == 2 && (os.Args[1] == "--version" || os.Args[1] == "version") {
		fmt.Printf("%s %s (kind %s, protocol %d)\n", name, version(), p.Kind.Name, p.Kind.ProtocolVersion)
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "--debug" {
		if err := debug(context.Background(), p, name, os.Stderr); err != nil {
			fmt.Fprintf(os.Stderr, "%s: serving a debugger failed: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	if why := strayed(p, os.Getenv(wire.CookieKey)); why != "" {
		fmt.Fprintf(os.Stderr, "%s is a LOOP plugin of kind %s%s\n", name, p.Kind.Name, why)
		os.Exit(1)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv(wire.LogLevelKey))); err != nil {
		level = slog.LevelInfo // the default, if the host names none
	}
	// go-plugin swaps os.Stderr for a pipe of its own until Init; the logger keeps the real one.
	host := newHost(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{
		Level: level, ReplaceAttr: lasting,
	})), true)
	go exitWithHost(os.Stdin, host.logger)
	// go-plugin serves printed output as a stream of gRPC, which hosts do not open: they read stdout and stderr
	// themselves.
	stdout, stderr := os.Stdout, os.Stderr
	host.unhook = func() {
		pipes := []*os.File{os.Stdout, os.Stderr}
		os.Stdout, os.Stderr = stdout, stderr
		for _, f := range pipes {
			_ = f.Close() // code that has kept one gets an error, and does not wait for a reader
		}
	}
	config, err := certify(os.Getenv(hostCertificateKey))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	framed := newFramed(host.logger)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  uint(p.Kind.ProtocolVersion),
			MagicCookieKey:   wire.CookieKey,
			MagicCookieValue: p.Kind.Cookie,
		},
		Plugins: plugin.PluginSet{p.Kind.Name: &glue{plugin: p, host: host, framed: framed}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			opts = append(opts, grpc.ForceServerCodecV2(wire.Codec()), grpc.ConnectionTimeout(frames.MaxHandshake),
				grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))
			s := grpc.NewServer(append(opts, grpc.Creds(frames.Credentials(config, framed)))...)
			host.stop = func() { go stop(s, framed) }
			return s
		},
		Logger:      hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
		TLSProvider: func() (*tls.Config, error) { return config, nil },
	})
}

// strayed says why a process with this cookie was not started by a node for this plugin; empty if it was.
func strayed(p Plugin, cookie string) string {
	switch cookie {
	case p.Kind.Cookie:
		return ""
	case "":
		return ": a node starts it. Name it to the node by its CL_<NAME>_CMD variable and start the node; or start it with " +
			"--debug."
	default:
		return fmt.Sprintf(", and the node started it for another (%q)", cookie)
	}
}

// newFramed returns the process's server of frames. go-plugin answers health checks on gRPC alone.
func newFramed(logger *slog.Logger) *frames.Server {
	s := frames.NewServer(logger)
	healthy := health.NewServer()
	healthy.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, healthy)
	return s
}

// stop ends the servers after the reply to the call that asked for it.
func stop(s *grpc.Server, framed *frames.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for range stopGrace / stopStep {
			select {
			case <-time.After(stopStep):
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	defer context.AfterFunc(ctx, s.Stop)() // ended before cancel: a good end stops nothing
	framed.Finish(ctx)
	s.GracefulStop()
}

// exitWithHost ends the process when the host's end of stdin closes: the host never writes there, so an end means that
// it is gone, and nobody else would end this process and what it has started.
func exitWithHost(stdin io.Reader, logger *slog.Logger) {
	_, err := io.Copy(io.Discard, stdin)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		logger.Warn("reading stdin failed; the host counts as gone", "error", err)
	}
	if syscall.Getpgrp() == os.Getpid() { // as a node starts plugins
		_ = syscall.Kill(0, syscall.SIGKILL) // the whole group, this process included
	}
	os.Exit(0)
}

// version is the version of the plugin's main module.
func version() string {
	if info, ok := rundebug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// glue registers a plugin's services on go-plugin's server.
type glue struct {
	plugin.NetRPCUnsupportedPlugin
	plugin Plugin
	host   *Host
	framed *frames.Server
}

// GRPCServer implements plugin.GRPCPlugin.
func (g *glue) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	bind(g.plugin, g.host, g.framed.Beside(s), dialHost)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (*glue) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin serves; it is not a client")
}

// bind registers a plugin's services, each through the seam.
func bind(p Plugin, host *Host, registrar grpc.ServiceRegistrar,
	dial func(*pluginv1.InitRequest) (grpc.ClientConnInterface, error)) {
	calls := wire.NewDispatcher(wire.DispatcherSettings{Resolver: initialised{host}, Logger: host.logger,
		Observe: observer(host.registry)})
	service := &lifecycle{host: host, dispatcher: calls, version: version(), dial: dial}
	host.objects.root[p.Root.ServiceName] = p.New(host)
	calls.Register(registrar, p.Root)
	for _, d := range p.Objects {
		calls.Register(registrar, d)
	}
	// Lifecycle calls have a dispatcher of their own: they are served before Init and while the plugin drains.
	wire.NewDispatcher(wire.DispatcherSettings{Resolver: always{service}, Logger: host.logger}).Register(registrar,
		&pluginv1.LifecycleService_ServiceDesc)
}

// InProcess connects a plugin inside the host's process: it serves on down, and calls the host over up.
func InProcess(p Plugin, logger *slog.Logger, down grpc.ServiceRegistrar, up grpc.ClientConnInterface) {
	host := newHost(logger, false)
	bind(p, host, down, func(*pluginv1.InitRequest) (grpc.ClientConnInterface, error) { return up, nil })
}

// lasting writes durations as text with a unit. Otherwise JSON has them as bare numbers.
func lasting(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
