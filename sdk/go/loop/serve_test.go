package loop_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// ---- The plugin's side: a fake median, which runs in a child process and in this one ----

// fakeMedian is a fake of a median plugin: its instances answer with what the value source observed.
type fakeMedian struct {
	host *loop.Host
}

func (f *fakeMedian) CreateMedianFactory(_ context.Context, _ *medianv1.CreateMedianFactoryRequest,
	loans medianv1loop.CreateMedianFactoryLoans) (
	medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	f.host.Logger().Info("a factory was made")
	if os.Getenv(printKey) != "" {
		fmt.Println(strings.Repeat("printed ", 1<<17))
		fmt.Fprintln(os.Stderr, "printed to stderr")
	}
	f.host.Logger().Debug("in detail")
	made := prometheus.NewCounter(prometheus.CounterOpts{Name: "fake_factories_total", Help: "Factories made."})
	if err := f.host.Registry().Register(made); err != nil {
		return nil, nil, err
	}
	made.Inc()
	return &fakeFactory{source: loans.ValueSource, host: f.host}, &medianv1.CreateMedianFactoryResponse{}, nil
}

type fakeFactory struct {
	host   *loop.Host
	source hostservicev1.DataSourceServiceClient
}

func (f *fakeFactory) CreateReportingPlugin(context.Context,
	*reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	return &fakeInstance{source: f.source, host: f.host}, &reportingv1.CreateReportingPluginResponse{Product: "fake",
		Limits: &reportingv1.ReportingPluginLimits{}}, nil
}

type fakeInstance struct {
	reportingv1.ReportingPluginServiceServer
	host   *loop.Host
	source hostservicev1.DataSourceServiceClient
}

func (i *fakeInstance) Observation(ctx context.Context,
	r *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	a, err := i.source.Observe(ctx, &hostservicev1.ObserveRequest{Timestamp: r.GetTimestamp()})
	if err != nil {
		return nil, err
	}
	return &reportingv1.ObservationResponse{Observation: a.GetValue().GetMagnitude()}, nil
}

// Query sends telemetry: it is the call of this fake that needs nothing lent to an object.
func (i *fakeInstance) Query(ctx context.Context, _ *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	_, err := i.host.Telemetry().SendTelemetry(ctx, &telemetryv1.SendTelemetryRequest{})
	return &reportingv1.QueryResponse{}, err
}

// Close implements io.Closer.
func (i *fakeInstance) Close() error {
	i.host.Logger().Info("an instance was closed")
	return nil
}

// ---- The host's side ----

// fakeHost serves a data source and telemetry to plugins.
type fakeHost struct {
	telemetryv1.TelemetryServiceServer
	entered chan struct{} // takes one for each observation that begins, if set
	leave   chan struct{}
	objects chan string
}

func (h *fakeHost) Observe(ctx context.Context,
	_ *hostservicev1.ObserveRequest) (*hostservicev1.ObserveResponse, error) {
	if h.entered != nil {
		h.entered <- struct{}{}
		select {
		case <-h.leave:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &hostservicev1.ObserveResponse{Value: wire.BigInt(big.NewInt(7))}, nil
}

// Resolve implements wire.Resolver.
func (h *fakeHost) Resolve(service, object string) (wire.Target, error) {
	if h.objects != nil {
		h.objects <- service + " " + object
	}
	if object != "value" && object != "telemetry" {
		return wire.Target{}, status.Errorf(codes.NotFound, "there is no object %q", object)
	}
	return wire.Target{Impl: h}, nil
}

func (h *fakeHost) register(r grpc.ServiceRegistrar) {
	d := wire.NewDispatcher(wire.DispatcherSettings{Resolver: h, Logger: slog.New(slog.DiscardHandler)})
	d.Register(r, &hostservicev1.DataSourceService_ServiceDesc)
	d.Register(r, &telemetryv1.TelemetryService_ServiceDesc)
}

// child is a plugin's process, started by hand as go-plugin's client starts one.
type child struct {
	t         *testing.T
	cmd       *exec.Cmd
	stdin     io.WriteCloser
	stderr    *lines
	host      *wire.KeyPair // the host's pair for this process
	address   string
	serverPEM []byte
	exited    chan struct{}
	folder    string
}

// lines collects what a process prints.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func command(t *testing.T, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{serveKey + "=1"}, environment...)
	return cmd
}

func launch(t *testing.T, environment ...string) *child {
	t.Helper()
	folder, err := os.MkdirTemp("", "loop") // a test's own folder has a longer name than a socket may have
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	host, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, stderr: &lines{}, host: host, exited: make(chan struct{}), folder: folder}
	kind := medianv1loop.MedianKind()
	c.cmd = command(t,
		append([]string{wire.CookieKey + "=" + kind.Cookie, "PLUGIN_PROTOCOL_VERSIONS=1",
			"PLUGIN_CLIENT_CERT=" + string(host.CertificatePEM), "TMPDIR=" + folder}, environment...))
	c.cmd.Stderr = c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a node does
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
	})
	if err != nil {
		t.Fatalf("no handshake: %v\n%s", err, c.stderr)
	}
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 6 || fields[1] != fmt.Sprint(kind.ProtocolVersion) || fields[2] != "unix" || fields[4] != "grpc" {
		t.Fatalf("the handshake is %q", line)
	}
	der, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		t.Fatal(err)
	}
	c.address = "unix:" + fields[3]
	c.serverPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return c
}

func (c *child) dial(t credentials.TransportCredentials) *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(t),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec())))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// conn is the connection of the host that started the process.
func (c *child) conn() *grpc.ClientConn {
	c.t.Helper()
	config, err := wire.ClientTLS(c.host.TLS, c.serverPEM)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.dial(credentials.NewTLS(config))
}

// initialise serves a fake host to the process and tells it where.
func (c *child) initialise(conn grpc.ClientConnInterface, h *fakeHost,
	generation uint64) (*pluginv1.InitResponse, error) {
	c.t.Helper()
	server, client := keyPair(c.t), keyPair(c.t)
	config, err := wire.ServerTLS(server.TLS, client.CertificatePEM)
	if err != nil {
		c.t.Fatal(err)
	}
	socket := filepath.Join(c.folder, fmt.Sprintf("h%d", generation))
	l, err := net.Listen("unix", socket)
	if err != nil {
		c.t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.ForceServerCodecV2(wire.Codec()))
	h.register(s)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c.t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return pluginv1.NewLifecycleServiceClient(wire.Bind(conn, "")).Init(c.t.Context(), &pluginv1.InitRequest{
		HostAddress: "unix:" + socket, HostCertificatePem: string(server.CertificatePEM),
		ClientCertificatePem: string(client.CertificatePEM),
		ClientKeyPem:         string(client.KeyPEM), Generation: generation, MaxMessageBytes: wire.MaxMessageBytes,
		HostVersion: "test", Telemetry: "telemetry",
	})
}

func keyPair(t *testing.T) *wire.KeyPair {
	t.Helper()
	p, err := wire.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exit waits for the process's end.
func (c *child) exit() *os.ProcessState {
	c.t.Helper()
	select {
	case <-c.exited:
		return c.cmd.ProcessState
	case <-time.After(time.Minute):
		c.t.Fatalf("the process still runs a minute later\n%s", c.stderr)
		return nil
	}
}

func factoryRequest() *medianv1.CreateMedianFactoryRequest {
	return &medianv1.CreateMedianFactoryRequest{Name: "factory", Provider: "provider", ValueSource: "value",
		JuelsPerFeeCoinSource: "juels", GasPriceSubunitsSource: "gas", ErrorLog: "errors"}
}

func timestamp() *reportingv1.ReportTimestamp {
	return &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}
}

// instance makes a factory and an instance over a connection to a plugin.
func instance(t *testing.T, cc grpc.ClientConnInterface) reportingv1.ReportingPluginServiceClient {
	t.Helper()
	if _, err := medianv1.NewMedianServiceClient(wire.Bind(cc, "")).CreateMedianFactory(t.Context(),
		factoryRequest()); err != nil {
		t.Fatal(err)
	}
	if _, err := reportingv1.NewReportingPluginFactoryServiceClient(wire.Bind(cc, "factory")).
		CreateReportingPlugin(t.Context(),
			&reportingv1.CreateReportingPluginRequest{Name: "instance", ConfigDigest: make([]byte, 32), N: 1}); err != nil {
		t.Fatal(err)
	}
	return reportingv1.NewReportingPluginServiceClient(wire.Bind(cc, "instance"))
}

// ---- Tests ----

// printKey asks the fake to print more than a pipe holds.
const printKey = "FAKE_PRINT"

// What an author prints goes to the process's own stdout and stderr, which hosts read whether or not they open
// go-plugin's streams.
func TestPrintingBlocksNothing(t *testing.T) {
	t.Parallel()
	c := launch(t, printKey+"=1")
	conn := c.conn()
	if _, err := c.initialise(conn, &fakeHost{}, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := medianv1.NewMedianServiceClient(wire.Bind(conn, "")).CreateMedianFactory(ctx,
		factoryRequest()); err != nil {
		t.Fatal(err)
	}
	_ = c.stdin.Close() // it ends with its host, and all that it said has come
	c.exit()
	if !strings.Contains(c.stderr.String(), "printed to stderr") {
		t.Errorf("stderr has\n%s", c.stderr)
	}
}

// A process from its start to its end: handshake, health, calls before and after Init, a call back to the host,
// release, drain.
func TestServe(t *testing.T) {
	t.Parallel()
	c := launch(t, wire.LogLevelKey+"=INFO")
	conn := c.conn()
	health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(),
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", health.GetStatus(), err)
	}
	root := medianv1.NewMedianServiceClient(wire.Bind(conn, ""))
	if _, err := root.CreateMedianFactory(t.Context(), factoryRequest()); status.Code(err) != codes.FailedPrecondition ||
		!strings.Contains(err.Error(), "Init comes first") {
		t.Errorf("a call before Init: %v", err)
	}
	host := &fakeHost{objects: make(chan string, 2)}
	started, err := c.initialise(conn, host, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^go1\.\S+ loop/v1$`).MatchString(started.GetRuntime()) || started.GetVersion() == "" {
		t.Errorf("Init answered %v", started)
	}
	if _, err := c.initialise(conn, &fakeHost{}, 4); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a second Init: %v", err)
	}

	i := instance(t, conn)
	var trailer metadata.MD
	a, err := i.Observation(t.Context(), &reportingv1.ObservationRequest{Timestamp: timestamp()}, grpc.Trailer(&trailer))
	if err != nil || !bytes.Equal(a.GetObservation(), []byte{7}) {
		t.Errorf("an observation through the host: %v, %v", a, err)
	}
	if g := trailer.Get(wire.GenerationKey); len(g) != 1 || g[0] != "3" {
		t.Errorf("the generation is %q; want 3", g)
	}
	if got, want := <-host.objects, "loop.hostservice.v1.DataSourceService value"; got != want {
		t.Errorf("the plugin called %s; want %s", got, want)
	}
	if _, err := i.Query(t.Context(),
		&reportingv1.QueryRequest{Timestamp: timestamp()}); status.Code(err) != codes.InvalidArgument || !strings.Contains(
		err.Error(), "SendTelemetryRequest.entries") {
		t.Errorf("telemetry that breaks the contract left the plugin: %v", err)
	}

	lifecycle := pluginv1.NewLifecycleServiceClient(wire.Bind(conn, ""))
	for range 2 { // a repeat is not an error
		if _, err := lifecycle.Release(t.Context(),
			&pluginv1.ReleaseRequest{Objects: []string{"factory", "unknown"}}); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
	if _, err := i.Observation(t.Context(),
		&reportingv1.ObservationRequest{Timestamp: timestamp()}); status.Code(err) != codes.NotFound {
		t.Errorf("a call on the child of a released object: %v", err)
	}
	if _, err := root.CreateMedianFactory(t.Context(), factoryRequest()); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a create that comes after its release: %v", err)
	}
	if _, err := lifecycle.Drain(t.Context(), &pluginv1.DrainRequest{Grace: durationpb.New(time.Second)}); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if s := c.exit(); s.ExitCode() != 0 {
		t.Errorf("after Drain the process ended with %s\n%s", s, c.stderr)
	}
	if log := c.stderr.String(); !strings.Contains(log, `"msg":"a factory was made"`) ||
		strings.Contains(log, "in detail") {
		t.Errorf("at level INFO the log is:\n%s", log)
	}
}

// A call in flight ends well, a new one is refused, and the process goes.
func TestDrainWithACallInFlight(t *testing.T) {
	t.Parallel()
	c := launch(t)
	conn := c.conn()
	host := &fakeHost{entered: make(chan struct{}), leave: make(chan struct{})}
	if _, err := c.initialise(conn, host, 1); err != nil {
		t.Fatal(err)
	}
	i := instance(t, conn)
	flying := make(chan error, 1)
	go func() {
		_, err := i.Observation(t.Context(), &reportingv1.ObservationRequest{Timestamp: timestamp()})
		flying <- err
	}()
	<-host.entered
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(conn, "")).Drain(ctx,
			&pluginv1.DrainRequest{Grace: durationpb.New(time.Minute)})
		drained <- err
	}()
	for { // until Drain has arrived
		_, err := medianv1.NewMedianServiceClient(wire.Bind(conn, "")).CreateMedianFactory(t.Context(), factoryRequest())
		if status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "the plugin is ending") {
			break
		}
		if err != nil {
			t.Fatalf("a call while the plugin drains: %v", err)
		}
	}
	close(host.leave)
	if err := <-flying; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
	if s := c.exit(); s.ExitCode() != 0 {
		t.Errorf("the process ended with %s", s)
	}
	// A host that names no level wants the default.
	if log := c.stderr.String(); !strings.Contains(log, `"msg":"an instance was closed"`) ||
		strings.Contains(log, "in detail") {
		t.Errorf("the log is:\n%s", log)
	}
}

func TestProcessesEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		environment []string
		end         func(*child) error
		want        func(*os.ProcessState) bool
	}{
		"when the host is gone": {
			end:  func(c *child) error { return c.stdin.Close() },
			want: func(s *os.ProcessState) bool { return s.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL },
		},
		"when the host is gone, with what it has started": { // or the test would wait for the end of its output
			environment: []string{helperKey + "=start"},
			end:         func(c *child) error { return c.stdin.Close() },
			want:        func(s *os.ProcessState) bool { return s.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL },
		},
		"at SIGTERM": {
			end:  func(c *child) error { return c.cmd.Process.Signal(syscall.SIGTERM) },
			want: func(s *os.ProcessState) bool { return s.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := launch(t, test.environment...)
			if _, err := c.initialise(c.conn(), &fakeHost{}, 1); err != nil {
				t.Fatal(err)
			}
			if err := test.end(c); err != nil {
				t.Fatal(err)
			}
			if s := c.exit(); !test.want(s) {
				t.Errorf("the process ended with %s", s)
			}
		})
	}
}

// A caller without the host's certificate reaches nothing.
func TestProcessKnowsItsHost(t *testing.T) {
	t.Parallel()
	c := launch(t)
	with := func(certificates ...tls.Certificate) credentials.TransportCredentials {
		config, err := wire.ClientTLS(c.host.TLS, c.serverPEM)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = certificates
		return credentials.NewTLS(config)
	}
	for name, refused := range map[string]credentials.TransportCredentials{
		"no certificate": with(), "another certificate": with(keyPair(t).TLS), "no TLS": insecure.NewCredentials(),
	} {
		_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(c.dial(refused), "")).CollectMetrics(t.Context(),
			&pluginv1.CollectMetricsRequest{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v; want UNAVAILABLE", name, err)
		}
	}
	if _, err := pluginv1.NewLifecycleServiceClient(wire.Bind(c.conn(), "")).CollectMetrics(t.Context(),
		&pluginv1.CollectMetricsRequest{}); err != nil {
		t.Errorf("the host itself: %v", err)
	}
}

// What a person who starts a plugin sees.
func TestStartedByHand(t *testing.T) {
	t.Parallel()
	kind := medianv1loop.MedianKind()
	tests := map[string]struct {
		environment    []string
		args           []string
		code           int
		stdout, stderr string // regular expressions
	}{
		"no cookie": {code: 1, stdout: `^$`,
			stderr: `^\S+ is a LOOP plugin of kind median: a node starts it\. .*CL_<NAME>_CMD.*\n$`},
		"another cookie": {environment: []string{wire.CookieKey + "=loop-relayer"}, code: 1, stdout: `^$`, stderr: `plugin`},
		"no certificate": {environment: []string{wire.CookieKey + "=" + kind.Cookie, "PLUGIN_PROTOCOL_VERSIONS=1"}, code: 1,
			stdout: `^$`, stderr: `^\S+: the host gives no certificate in PLUGIN_CLIENT_CERT, .*--debug\n$`},
		"--version": {args: []string{"--version"}, stdout: `^\S+ \S+ \(kind median, protocol 1\)\n$`, stderr: `^$`},
		"version, as a node would see it": {environment: []string{wire.CookieKey + "=" + kind.Cookie},
			args:   []string{"version"},
			stdout: `^\S+ \S+ \(kind median, protocol 1\)\n$`, stderr: `^$`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := command(t, test.environment, test.args...)
			stdin, err := cmd.StdinPipe() // stays open, as a terminal would
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
			if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			if cmd.ProcessState.ExitCode() != test.code {
				t.Errorf("it ended with %s; want code %d", cmd.ProcessState, test.code)
			}
			if !regexp.MustCompile(test.stdout).MatchString(stdout.String()) ||
				!regexp.MustCompile(test.stderr).MatchString(stderr.String()) {
				t.Errorf("it printed %q and, to stderr, %q", stdout.String(), stderr.String())
			}
		})
	}
}

// bound is a fake median in this process, initialised.
func bound(t *testing.T, h *fakeHost) grpc.ClientConnInterface {
	t.Helper()
	down := inprocess.New()
	up := inprocess.New()
	h.register(up)
	loop.InProcess(medianv1loop.MedianPlugin(func(h *loop.Host) medianv1loop.MedianService {
		return &fakeMedian{host: h}
	}), slog.New(slog.DiscardHandler), down, up)
	if _, err := pluginv1.NewLifecycleServiceClient(wire.Bind(down, "")).Init(t.Context(), &pluginv1.InitRequest{
		HostAddress: "in-process", HostCertificatePem: "none", ClientCertificatePem: "none", ClientKeyPem: "none",
		Generation: 9, MaxMessageBytes: wire.MaxMessageBytes, Telemetry: "telemetry",
	}); err != nil {
		t.Fatal(err)
	}
	return down
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	cc := bound(t, &fakeHost{})
	var trailer metadata.MD
	a, err := instance(t, cc).Observation(t.Context(), &reportingv1.ObservationRequest{Timestamp: timestamp()},
		grpc.Trailer(&trailer))
	if err != nil || !bytes.Equal(a.GetObservation(), []byte{7}) || len(trailer.Get(wire.GenerationKey)) != 1 ||
		trailer.Get(wire.GenerationKey)[0] != "9" {
		t.Errorf("got %v, %v, %v", a, err, trailer)
	}
	if _, err := pluginv1.NewLifecycleServiceClient(wire.Bind(cc, "")).Drain(t.Context(),
		&pluginv1.DrainRequest{Grace: durationpb.New(0)}); err != nil {
		t.Error(err)
	}
	if _, err := reportingv1.NewReportingPluginServiceClient(wire.Bind(cc, "instance")).Observation(t.Context(),
		&reportingv1.ObservationRequest{Timestamp: timestamp()}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after Drain: %v", err)
	}
}

// Init refuses what it cannot use, by the field, and can then be called again.
func TestInitRefuses(t *testing.T) {
	t.Parallel()
	c := launch(t)
	conn := c.conn()
	lifecycle := pluginv1.NewLifecycleServiceClient(wire.Bind(conn, ""))
	good := keyPair(t)
	for field, change := range map[string]func(*pluginv1.InitRequest){
		"host_certificate_pem":   func(r *pluginv1.InitRequest) { r.HostCertificatePem = "no PEM" },
		"client_certificate_pem": func(r *pluginv1.InitRequest) { r.ClientKeyPem = string(keyPair(t).KeyPEM) },
		"host_address":           func(r *pluginv1.InitRequest) { r.HostAddress = "" },
		"generation":             func(r *pluginv1.InitRequest) { r.Generation = 0 },
		"max_message_bytes":      func(r *pluginv1.InitRequest) { r.MaxMessageBytes = 0 },
	} {
		r := &pluginv1.InitRequest{HostAddress: "unix:/nowhere", HostCertificatePem: string(good.CertificatePEM),
			ClientCertificatePem: string(good.CertificatePEM),
			ClientKeyPem:         string(good.KeyPEM), Generation: 1, MaxMessageBytes: wire.MaxMessageBytes,
			Telemetry: "telemetry"}
		change(r)
		_, err := lifecycle.Init(t.Context(), r)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), field) ||
			strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: %v", field, err)
		}
		want := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field}}}
		if d := cmp.Diff([]any{want}, status.Convert(err).Details(), protocmp.Transform(),
			protocmp.IgnoreFields(&errdetails.BadRequest_FieldViolation{}, "description")); d != "" {
			t.Errorf("%s: details %s", field, d)
		}
	}
	if _, err := c.initialise(conn, &fakeHost{}, 1); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

func TestMetricsAreNegotiated(t *testing.T) {
	t.Parallel()
	cc := bound(t, &fakeHost{})
	instance(t, cc)
	tests := map[string]struct {
		accept, contentType string
		ends                bool // with OpenMetrics' last line
	}{
		"plain":    {"", "text/plain", false},
		"anything": {"*/*", "text/plain", false},
		"text":     {"text/plain;version=0.0.4", "text/plain; version=0.0.4", false},
		"OpenMetrics": {"application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
			"application/openmetrics-text; version=1.0.0", true},
		"nonsense": {";;;,,,\x00", "text/plain", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := pluginv1.NewLifecycleServiceClient(wire.Bind(cc, "")).CollectMetrics(t.Context(),
				&pluginv1.CollectMetricsRequest{Accept: test.accept})
			if err != nil {
				t.Fatal(err)
			}
			text := string(m.GetExposition())
			if !strings.HasPrefix(m.GetContentType(), test.contentType) || strings.HasSuffix(text, "# EOF\n") != test.ends {
				t.Errorf("content type %q, end %q", m.GetContentType(), text[max(0, len(text)-20):])
			}
			for _, want := range []string{"fake_factories_total 1",
				`loop_plugin_call_duration_seconds_count{code="OK",method="/loop.median.v1.MedianService/CreateMedianFactory"} 1`} {
				if !strings.Contains(text, want) {
					t.Errorf("the exposition lacks %s:\n%s", want, text)
				}
			}
		})
	}
}

// A plugin that a person starts with --debug serves one host after another, none of which ends it, and nobody without
// the key in its file.
func TestDebug(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "loop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	cmd := command(t, []string{"XDG_RUNTIME_DIR=" + folder}, "--debug")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil { // without a stdin, whose end would end it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	words := bufio.NewReader(stderr)
	said, err := words.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(
		`^(\S+) serves as process ([0-9]+) until Ctrl-C\. Start the node with LOOP_REATTACH=\S+=(/\S+)\n$`).
		FindStringSubmatch(said)
	if found == nil || found[2] != fmt.Sprint(cmd.Process.Pid) {
		t.Fatalf("it said %q", said)
	}
	go func() { _, _ = io.Copy(io.Discard, words) }()
	a, err := wire.ReadAttachment(found[3])
	if err != nil {
		t.Fatal(err)
	}
	if a.Kind != "median" || a.PID != cmd.Process.Pid || strings.Contains(fmt.Sprintf("%v %+v", a, a), "PRIVATE") {
		t.Errorf("the file says %+v", a)
	}
	pair, err := tls.X509KeyPair([]byte(a.HostCertificatePEM), []byte(a.HostKeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, host: &wire.KeyPair{TLS: pair}, address: a.Address, serverPEM: []byte(a.CertificatePEM),
		folder: folder}
	make := func(conn grpc.ClientConnInterface, name string) error {
		_, err := medianv1.NewMedianServiceClient(wire.Bind(conn, "")).CreateMedianFactory(t.Context(),
			&medianv1.CreateMedianFactoryRequest{
				Name: name, Provider: "p", ValueSource: "value", JuelsPerFeeCoinSource: "value", GasPriceSubunitsSource: "value",
				ErrorLog: "value",
			})
		return err
	}
	first := c.conn()
	if _, err := c.initialise(first, &fakeHost{}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := pluginv1.NewLifecycleServiceClient(wire.Bind(first, "")).Release(t.Context(),
		&pluginv1.ReleaseRequest{Objects: []string{"f1"}}); err != nil {
		t.Fatal(err)
	}
	if err := make(first, "f1"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an object that was released: %v", err)
	}
	second := c.conn()
	if _, err := c.initialise(second, &fakeHost{}, 2); err != nil {
		t.Fatalf("a second host: %v", err)
	}
	if err := make(second, "f1"); err != nil {
		t.Errorf("an object that the host before has released: %v", err)
	}
	stranger := keyPair(t)
	config, err := wire.ClientTLS(stranger.TLS, c.serverPEM)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grpc_health_v1.NewHealthClient(c.dial(credentials.NewTLS(config))).Check(t.Context(),
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService}); status.Code(err) != codes.Unavailable {
		t.Errorf("somebody without the key: %v", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "loop-debug-*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
