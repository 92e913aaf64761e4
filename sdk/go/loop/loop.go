// Package loop is the plugin's side of LOOP. It serves a plugin over go-plugin's handshake with mutual TLS, keeps the
// table of the objects that the host names, gives the author a logger, metrics and the host's services, and ends the
// process when the host asks or is gone. The author writes a root service and calls the Serve function that is
// generated for its kind.
//
// This package must not know any kind of plugin, nor more about the host than how to call it.
package loop

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Host is the plugin's access to its host. It is made once per process, before the plugin's root.
type Host struct {
	logger   *slog.Logger
	registry *prometheus.Registry
	objects  *table

	mu        sync.Mutex
	conn      grpc.ClientConnInterface // nil before Init
	telemetry string
	// again lets a host take the place of another, as with a plugin that is being debugged.
	again bool
	// stop ends the process's server after a drain; nil in-process.
	stop func()
	// unhook gives the process back its stdout and stderr, which go-plugin replaces by pipes; nil where it does not.
	unhook func()
}

func newHost(logger *slog.Logger, process bool) *Host {
	h := &Host{logger: logger, registry: prometheus.NewRegistry(), objects: newTable(logger)}
	if process {
		h.registry.MustRegister(collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return h
}

// Logger logs to the host, which shows the lines at their level under the plugin's name. Never log secrets.
func (h *Host) Logger() *slog.Logger { return h.logger }

// Registry takes the plugin's metrics; the host serves them at /plugins/<name>/metrics.
func (h *Host) Registry() *prometheus.Registry { return h.registry }

// Telemetry sends telemetry to the host. It never waits for the receiver.
func (h *Host) Telemetry() telemetryv1.TelemetryServiceClient {
	h.mu.Lock()
	name := h.telemetry
	h.mu.Unlock()
	return telemetryv1.NewTelemetryServiceClient(h.Lent(name))
}

// Lent returns a connection to an object that the host has lent by name. Generated constructors pass lent objects on as
// typed clients; authors do not call it.
func (h *Host) Lent(name string) grpc.ClientConnInterface { return wire.Bind(hostConn{h}, name) }

// connect sets the connection to the host, once.
func (h *Host) connect(conn grpc.ClientConnInterface, telemetry string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		return errInitialised()
	}
	h.conn, h.telemetry = conn, telemetry
	return nil
}

// leave forgets a host that another one replaces, and ends its objects.
func (h *Host) leave() {
	h.mu.Lock()
	conn := h.conn
	h.conn = nil
	h.mu.Unlock()
	h.objects.restart()
	if c, ok := conn.(io.Closer); ok {
		_ = c.Close() // that host is gone
	}
}

func errInitialised() error {
	return status.Error(codes.FailedPrecondition, "this process is already initialised")
}

func (h *Host) initialised() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conn != nil
}

// hostConn is the connection to the host, which may come later.
type hostConn struct{ h *Host }

func (c hostConn) get() (grpc.ClientConnInterface, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.h.conn == nil {
		return nil, status.Error(codes.FailedPrecondition, "the host has not initialised this plugin yet")
	}
	return c.h.conn, nil
}

// Invoke implements grpc.ClientConnInterface.
func (c hostConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, err := c.get()
	if err != nil {
		return err
	}
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (c hostConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string,
	opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := c.get()
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}
