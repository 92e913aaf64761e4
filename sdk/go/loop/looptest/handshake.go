package looptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/internal/subject"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// handshakeCases are about a process's start, up to and with Init.
func handshakeCases() []check {
	return []check{
		{"handshake/line", "the first line on stdout is go-plugin's handshake with a certificate, within the start timeout",
			true, handshakeLine},
		{"handshake/answers", "the certificate of the handshake line is the server's, and the server takes the host's", true,
			handshakeAnswers},
		{"handshake/no-certificate", "a caller without a certificate is refused, and so is one without TLS", true,
			handshakeNoCertificate},
		{"handshake/wrong-certificate", "a caller with another certificate than the host's is refused", true,
			handshakeWrongCertificate},
		{"handshake/no-cookie", "without the magic cookie the process ends with a sentence and a status that is not 0", true,
			handshakeCookie("")},
		{"handshake/wrong-cookie",
			"with another kind's magic cookie the process ends with a sentence and a status that is not 0", true,
			handshakeCookie("loop-conformance")},
		{"handshake/no-host",
			"without the host's certificate in the environment the process ends with a sentence and a status that is not 0",
			true, handshakeNoHost},
		{"handshake/versions", "of several protocol versions the plugin chooses one that it has", true, handshakeVersions},
		{"handshake/no-common-version", "a plugin never claims a protocol version that it does not have", true,
			handshakeNoCommonVersion},
		{"init/before", "every call before Init is FAILED_PRECONDITION", false, initBefore},
		{"init/certificates",
			"Init with a certificate or key that does not parse or does not fit is INVALID_ARGUMENT, and a right one succeeds " +
				"then",
			true, initCertificates},
		{"init/no-telemetry", "a host that lends no telemetry, such as a node that checks a job, is served like any other",
			false, initNoTelemetry},
		{"init/other-host", "a host that shows another certificate than Init named is not called", true, initOtherHost},
		{"init/twice", "a second Init is FAILED_PRECONDITION and changes nothing", false, initTwice},
	}
}

func handshakeLine(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	h, err := l.Process.Handshake(ctx)
	if err != nil {
		return err
	}
	if v := kindOf(b.settings.Kind).ProtocolVersion; h.Version != v {
		return fmt.Errorf("the handshake line names protocol version %d; want %d", h.Version, v)
	}
	if !strings.HasPrefix(h.Address, "unix:") {
		return fmt.Errorf("the plugin listens on %s; want a unix socket, for nothing of a plugin may be reached over a "+
			"network", h.Address)
	}
	if err := h.Certificate.VerifyHostname("localhost"); err != nil {
		return fmt.Errorf("the certificate of the handshake line is not for the name localhost: %w", err)
	}
	return nil
}

func (l *generation) healthOf(ctx context.Context,
	service string) (grpc_health_v1.HealthCheckResponse_ServingStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, l.bench.hang())
	defer cancel()
	r, err := grpc_health_v1.NewHealthClient(l.Conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	return r.GetStatus(), err
}

func (l *generation) health(ctx context.Context) error {
	if l.Process == nil {
		return nil // a process's server answers it, and there is no process
	}
	got, err := l.healthOf(ctx, wire.HealthService)
	if err != nil {
		return wrap("grpc.health.v1.Health.Check", err)
	}
	if got != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health of the service %q is %s; want SERVING", wire.HealthService, got)
	}
	return nil
}

func handshakeAnswers(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	return l.health(ctx)
}

// refused fails if a connection is served.
func (b *bench) refused(ctx context.Context, who string, conn *grpc.ClientConn) error {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, b.hang())
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	return want("a call by "+who, err, codes.Unavailable)
}

func handshakeNoCertificate(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	conn, err := l.Process.Dial(nil)
	if err != nil {
		return err
	}
	if err := b.refused(ctx, "a caller without a certificate", conn); err != nil {
		return err
	}
	plain, err := grpc.NewClient(l.Process.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy())
	if err != nil {
		return err
	}
	return b.refused(ctx, "a caller without TLS", plain)
}

func handshakeWrongCertificate(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	other, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	conn, err := l.Process.Dial(&other.TLS)
	if err != nil {
		return err
	}
	return b.refused(ctx, "a caller with another certificate than the host's", conn)
}

// launch starts a process that is not expected to serve.
func (b *bench) launch(ctx context.Context, e subject.Environment) (*subject.Process, error) {
	return subject.Launch(ctx, b.subjectSettings(), e)
}

// refusesToStart fails unless a process ends in that environment, with a sentence and without leaving another behind.
func (b *bench) refusesToStart(ctx context.Context, e subject.Environment, how, sentence string) error {
	p, err := b.launch(ctx, e)
	if err != nil {
		return err
	}
	defer p.Kill()
	if bound := b.within(10 * time.Second); !settled(p.Exited(), bound, true) {
		return fmt.Errorf("the process goes on %s; want it to end within %s, with a sentence that tells %s", how, bound,
			sentence)
	}
	if !settled(p.Silent(), b.within(time.Second), true) {
		return errors.New("the process ended and left another behind that holds its output")
	}
	if p.ExitCode() == 0 {
		return fmt.Errorf("the process ended with status 0 %s; want another status", how)
	}
	said := strings.Join(append(p.Stderr(), p.Stdout()...), " ")
	if len(strings.Fields(said)) < 3 {
		return fmt.Errorf("the process ended %s and said %q; want a sentence that tells %s", how, said, sentence)
	}
	return nil
}

func handshakeCookie(cookie string) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		e := subject.Normal(kindOf(b.settings.Kind))
		e.Cookie = cookie
		return b.refusesToStart(ctx, e, fmt.Sprintf("with the magic cookie %q", cookie), "that a node must start it")
	}
}

func handshakeNoHost(ctx context.Context, b *bench) error {
	e := subject.Normal(kindOf(b.settings.Kind))
	e.Anonymous = true
	return b.refusesToStart(ctx, e, "without PLUGIN_CLIENT_CERT", "that it cannot tell its node from others")
}

func handshakeVersions(ctx context.Context, b *bench) error {
	kind := kindOf(b.settings.Kind)
	e := subject.Normal(kind)
	e.Versions = fmt.Sprintf("%d,97,98", kind.ProtocolVersion)
	p, err := b.launch(ctx, e)
	if err != nil {
		return err
	}
	defer p.Kill()
	h, err := p.Handshake(ctx)
	if err != nil {
		return err
	}
	if h.Version != kind.ProtocolVersion {
		return fmt.Errorf("of the protocol versions %s the plugin took %d; want %d", e.Versions, h.Version,
			kind.ProtocolVersion)
	}
	return nil
}

func handshakeNoCommonVersion(ctx context.Context, b *bench) error {
	kind := kindOf(b.settings.Kind)
	e := subject.Normal(kind)
	e.Versions = "97"
	p, err := b.launch(ctx, e)
	if err != nil {
		return err
	}
	defer p.Kill()
	h, err := p.Handshake(ctx)
	switch {
	case err == nil && h.Version != kind.ProtocolVersion: // if the plugin names its own, the host refuses it
		return fmt.Errorf("a host that speaks protocol version 97 alone was told %d; want the plugin's own version, %d, or "+
			"an end with a sentence", h.Version, kind.ProtocolVersion)
	case err == nil:
		return nil
	case !settled(p.Exited(), b.within(time.Second), true):
		return err
	case p.ExitCode() == 0:
		return errors.New("a plugin that has no protocol version in common with its host ended with status 0; want another " +
			"status")
	}
	return nil
}

// valid is a call of each method that keeps every rule of the contract.
func (l *generation) valid() map[string]proto.Message {
	method, request, _ := l.parentRequest("Conformance/early", false)
	child, childRequest, _ := l.childRequest("Conformance/earlier", false)
	calls := map[string]proto.Message{method: request, child: childRequest}
	for _, m := range methodsOf(l.bench.settings.Kind) {
		if _, known := calls[fullName(m)]; !known && !isLifecycle(m) && !m.IsStreamingServer() {
			calls[fullName(m)] = validRequest(m)
		}
	}
	return calls
}

func initBefore(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	for method, request := range l.valid() {
		object := ""
		if m, ok := wire.MethodOf(method); ok && !m.OnPlugin {
			object = "Conformance/early"
		}
		if err := want(short(method)+" before Init", l.invoke(ctx, object, method, request),
			codes.FailedPrecondition); err != nil {
			return err
		}
	}
	if err := l.Initialise(ctx); err != nil {
		return wrap("Init after calls that came too early", err)
	}
	return nil
}

func initCertificates(ctx context.Context, b *bench) error {
	other, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	// The process goes on after an Init that failed.
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	good := l.Init
	const garbage = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"
	for what, change := range map[string]func(*pluginv1.InitRequest){
		"host_certificate_pem that is not PEM": func(r *pluginv1.InitRequest) {
			r.HostCertificatePem = "nonsense"
		},
		"host_certificate_pem that is not a certificate": func(r *pluginv1.InitRequest) {
			r.HostCertificatePem = garbage
		},
		"client_certificate_pem that is not a certificate": func(r *pluginv1.InitRequest) {
			r.ClientCertificatePem = garbage
		},
		"client_key_pem that is not a key": func(r *pluginv1.InitRequest) { r.ClientKeyPem = "nonsense" },
		"client_key_pem of another certificate": func(r *pluginv1.InitRequest) {
			r.ClientKeyPem = string(other.KeyPEM)
		},
		"client_certificate_pem that is not the key's own": func(r *pluginv1.InitRequest) {
			r.ClientCertificatePem = string(other.CertificatePEM)
		},
		"client_key_pem where the certificate should stand": func(r *pluginv1.InitRequest) {
			r.ClientCertificatePem = r.GetClientKeyPem()
		},
		"client_certificate_pem where the key should stand ": func(r *pluginv1.InitRequest) {
			r.ClientKeyPem = r.GetClientCertificatePem()
		},
	} {
		l.Init = proto.CloneOf(good)
		change(l.Init)
		if err := want("Init with a "+what, l.Initialise(ctx), codes.InvalidArgument); err != nil {
			return err
		}
		if err := l.health(ctx); err != nil {
			return fmt.Errorf("after Init with a %s: %w", what, err)
		}
	}
	l.Init = good
	if err := l.Initialise(ctx); err != nil {
		return wrap("Init with the right certificates, after others were refused,", err)
	}
	return nil
}

func initNoTelemetry(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	l.Init.Telemetry = ""
	if err := l.Initialise(ctx); err != nil {
		return wrap("Init without a telemetry, which no rule requires,", err)
	}
	err = l.describeProduct(ctx)
	var child string
	if err == nil {
		_, child, err = l.pair(ctx)
	}
	if err == nil {
		err = l.ask(ctx, child)
	}
	if err != nil {
		return fmt.Errorf("after Init without a telemetry: %w", err)
	}
	return nil
}

func initOtherHost(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.newWorld(), b.subjectSettings())
	if err != nil {
		return err
	}
	other, err := wire.NewKeyPair()
	if err != nil {
		return err
	}
	l.Init.HostCertificatePem = string(other.CertificatePEM)
	// The plugin may check the certificate at once or with its first call.
	limited, cancel := context.WithTimeout(ctx, b.hang())
	defer cancel()
	err = l.Initialise(limited)
	if err == nil {
		err = l.describeProduct(limited)
	}
	var child string
	if err == nil {
		_, child, err = l.pair(limited)
	}
	if err == nil {
		err = l.ask(limited, child)
	}
	name, asks := l.slowName()
	if calls := l.world.host.Calls(); len(calls) > 0 {
		return fmt.Errorf("the plugin called %s at a host that showed another certificate than Init's host_certificate_pem; "+
			"want it to refuse the connection", short(calls[0].Method))
	}
	if err == nil {
		return fmt.Errorf("%s succeeded without %s although its host showed another certificate than Init's "+
			"host_certificate_pem",
			name, asks)
	}
	return l.health(ctx)
}

func initTwice(ctx context.Context, b *bench) error {
	l, err := b.fresh(ctx, b.newWorld())
	if err != nil {
		return err
	}
	again := proto.CloneOf(l.Init)
	again.Generation++
	if err := want("a second Init", l.invoke(ctx, "", pluginv1.LifecycleService_Init_FullMethodName, again),
		codes.FailedPrecondition); err != nil {
		return err
	}
	if _, _, err := l.pair(ctx); err != nil {
		return fmt.Errorf("after a second Init the first one does not hold: %w", err)
	}
	return nil
}
