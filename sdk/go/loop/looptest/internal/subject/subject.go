// Package subject runs the plugin that a conformance run tests: as a process in any language, started and called by
// hand as a host would, or inside this process. It knows the handshake, certificates and the first call, Init.
//
// It must not know which services a kind of plugin has, nor what a case expects. It does not use the host's runtime,
// which would correct or refuse what is to be tested.
package subject

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/loan"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
	"github.com/loop-plugins/loop/sdk/go/wire/inprocess"
)

// Settings say what to run. Exactly one of Command and InProcess is set.
type Settings struct {
	Kind      wire.Kind
	Command   []string
	Env       []string
	InProcess *loop.Plugin
	// GRPC makes calls go over gRPC only, in both directions, even if the plugin serves frames.
	GRPC bool
	// StartTimeout bounds the time from start to handshake.
	StartTimeout time.Duration
	// LogLevel is the log level that the plugin is asked for.
	LogLevel slog.Level
	// Launched, if set, is called with each process that is started.
	Launched func(*Process)
}

// Subject is one generation of the plugin.
type Subject struct {
	// Conn is a connection to the plugin. It checks nothing, and sends messages of any size.
	Conn grpc.ClientConnInterface
	// Process is the plugin's process; nil if the plugin runs inside this one.
	Process *Process
	// Init is the request for the plugin's Init call.
	Init *pluginv1.InitRequest

	close []func()
}

// Start begins a generation that calls host. The caller must call Initialise.
func Start(ctx context.Context, s Settings, host *loan.Host, generation uint64) (*Subject, error) {
	x := &Subject{Init: &pluginv1.InitRequest{Generation: generation, MaxMessageBytes: wire.MaxMessageBytes,
		HostVersion: "conformance"}}
	x.Init.Telemetry = host.Lend("Telemetry", loan.Sink{}, "loop.telemetry.v1.TelemetryService")
	if s.InProcess != nil {
		up, down := inprocess.New(), inprocess.New()
		host.Register(up)
		loop.InProcess(*s.InProcess, slog.New(slog.DiscardHandler), down, up)
		x.Conn = down
		x.close = append(x.close, func() {
			// No process ends with it, so its objects must. Before Init there are none, and a second Drain is not an error.
			_ = down.Invoke(context.WithoutCancel(ctx), pluginv1.LifecycleService_Drain_FullMethodName,
				&pluginv1.DrainRequest{Grace: &durationpb.Duration{}}, &pluginv1.DrainResponse{})
		})
		x.Init.HostAddress, x.Init.HostCertificatePem, x.Init.ClientCertificatePem, x.Init.ClientKeyPem = "in-process",
			"none", "none", "none"
		return x, nil
	}
	p, err := Launch(ctx, s, Normal(s.Kind))
	if err != nil {
		return nil, err
	}
	x.Process = p
	x.close = append(x.close, p.Kill)
	if err := x.connect(ctx, s, host); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *Subject) connect(ctx context.Context, s Settings, host *loan.Host) error {
	if err := x.callbacks(s, host); err != nil {
		return err
	}
	if _, err := x.Process.Handshake(ctx); err != nil {
		return err
	}
	conn, err := x.Process.Dial(&x.Process.host.TLS)
	if err != nil {
		return err
	}
	x.close = append(x.close, func() { _ = conn.Close() })
	x.Conn = conn
	if !s.GRPC {
		channel := frames.Over(conn, x.Process.Address(), config(x.Process.Certificate(), &x.Process.host.TLS))
		x.close[len(x.close)-1] = func() { _ = channel.Close() }
		x.Conn = channel
	}
	return nil
}

// callbacks serves the host to the process.
func (x *Subject) callbacks(settings Settings, host *loan.Host) error {
	own, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	client, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	config, err := wire.ServerTLS(own.TLS, client.CertificatePEM)
	if err != nil {
		return err
	}
	path := filepath.Join(x.Process.folder, "host")
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("opening the socket for callbacks: %w", err)
	}
	framed := frames.NewServer(slog.New(slog.DiscardHandler))
	creds := frames.Credentials(config, framed)
	if settings.GRPC {
		creds = credentials.NewTLS(config)
	}
	s := grpc.NewServer(grpc.Creds(creds), grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))
	host.Register(framed.Beside(s))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l) // ends with Stop
	}()
	x.close = append(x.close, func() {
		s.Stop()
		<-served
		framed.Stop()
	})
	x.Init.HostAddress, x.Init.HostCertificatePem = "unix:"+path, string(own.CertificatePEM)
	x.Init.ClientCertificatePem, x.Init.ClientKeyPem = string(client.CertificatePEM), string(client.KeyPEM)
	return nil
}

// Initialise makes the first call.
func (x *Subject) Initialise(ctx context.Context) error {
	_, err := pluginv1.NewLifecycleServiceClient(wire.Bind(x.Conn, "")).Init(ctx, x.Init)
	return err
}

// Abandon acts like a host that dies: every connection and pipe ends, and nothing signals the process.
func (x *Subject) Abandon() {
	for _, f := range x.close[1:] { // the first one kills
		f()
	}
	x.close = x.close[:1]
	x.Process.abandon()
}

// Close ends the generation.
func (x *Subject) Close() {
	for i := len(x.close) - 1; i >= 0; i-- {
		x.close[i]()
	}
	x.close = nil
}

// dial reaches a plugin that serves with a certificate. Without a certificate of one's own, none is offered.
func dial(address string, server *x509.Certificate, own *tls.Certificate) (*grpc.ClientConn, error) {
	if server == nil {
		return nil, errors.New("the plugin's handshake has no certificate")
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config(server, own))),
		grpc.WithNoProxy(), grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec()), grpc.MaxCallSendMsgSize(4*wire.MaxMessageBytes),
			grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)))
}

// config is the TLS configuration of a host that knows its plugin by its certificate.
func config(server *x509.Certificate, own *tls.Certificate) *tls.Config {
	c := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // of names and dates, as a host does; see VerifyConnection
		VerifyConnection:   wire.Exactly(server.Raw),
		ServerName:         "localhost",
		MinVersion:         tls.VersionTLS12,
	}
	if own != nil {
		// Without this, a client whose certificate the server does not ask for would quietly offer none.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return c
}

// newFolder makes the private folder of one process's sockets.
func newFolder() (string, error) {
	folder, err := os.MkdirTemp("", "loop") // the path of a socket may have 104 bytes
	if err != nil {
		return "", fmt.Errorf("making a folder for sockets: %w; set TMPDIR to one that can be written", err)
	}
	return folder, nil
}
