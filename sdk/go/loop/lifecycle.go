package loop

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"runtime"

	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"net/http"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// lifecycle implements LifecycleService for every plugin.
type lifecycle struct {
	host       *Host
	dispatcher *wire.Dispatcher
	version    string
	// dial connects to the host; nil in-process, where bind has done so already.
	dial func(*pluginv1.InitRequest) (grpc.ClientConnInterface, error)
}

// Init implements pluginv1.LifecycleServiceServer.
func (l *lifecycle) Init(_ context.Context, r *pluginv1.InitRequest) (*pluginv1.InitResponse, error) {
	if l.host.initialised() {
		if !l.host.again {
			return nil, errInitialised()
		}
		l.host.leave()
	}
	conn, err := l.dial(r)
	var bad *wire.Violation
	if errors.As(err, &bad) {
		return nil, bad.Status(r.ProtoReflect().Descriptor().FullName()).Err()
	}
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%v", err)
	}
	if err := l.host.connect(conn, r.GetTelemetry()); err != nil { // another call was quicker
		if c, ok := conn.(io.Closer); ok {
			_ = c.Close()
		}
		return nil, err
	}
	l.dispatcher.SetGeneration(r.GetGeneration())
	if l.host.unhook != nil {
		l.host.unhook() // by now go-plugin serves, and has replaced stdout and stderr
	}
	l.host.logger.Debug("initialised", "generation", r.GetGeneration(), "host", r.GetHostVersion())
	return &pluginv1.InitResponse{Version: l.version, Runtime: runtime.Version() + " loop/v1"}, nil
}

// dialHost connects to the host's callback server with the certificate that the host issued.
func dialHost(r *pluginv1.InitRequest) (grpc.ClientConnInterface, error) {
	pair, err := tls.X509KeyPair([]byte(r.GetClientCertificatePem()), []byte(r.GetClientKeyPem()))
	if err != nil {
		return nil, &wire.Violation{Field: "client_certificate_pem", Problem: "does not parse with its key"}
	}
	config, err := wire.ClientTLS(pair, []byte(r.GetHostCertificatePem()))
	if err != nil {
		return nil, &wire.Violation{Field: "host_certificate_pem", Problem: err.Error()}
	}
	limit := int(r.GetMaxMessageBytes())
	conn, err := grpc.NewClient(r.GetHostAddress(),
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec()), grpc.MaxCallRecvMsgSize(limit),
			grpc.MaxCallSendMsgSize(limit)),
		grpc.WithNoProxy(),
		// an idle connection would be closed, and the host's socket may be gone from its folder at the next call
		grpc.WithIdleTimeout(0))
	if err != nil {
		return nil, err
	}
	return frames.Over(conn, r.GetHostAddress(), config), nil
}

// Release implements pluginv1.LifecycleServiceServer.
func (l *lifecycle) Release(_ context.Context, r *pluginv1.ReleaseRequest) (*pluginv1.ReleaseResponse, error) {
	l.host.objects.releaseAll(r.GetObjects())
	return &pluginv1.ReleaseResponse{}, nil
}

// CollectMetrics implements pluginv1.LifecycleServiceServer.
func (l *lifecycle) CollectMetrics(_ context.Context,
	r *pluginv1.CollectMetricsRequest) (*pluginv1.CollectMetricsResponse, error) {
	families, err := l.host.registry.Gather()
	if err != nil && len(families) == 0 {
		return nil, status.Errorf(codes.Internal, "gathering metrics: %v", err)
	}
	format := expfmt.NegotiateAccept(http.Header{"Accept": {r.GetAccept()}}, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var b bytes.Buffer
	encoder := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return nil, status.Errorf(codes.Internal, "encoding metric %s: %v", f.GetName(), err)
		}
	}
	if c, ok := encoder.(expfmt.Closer); ok {
		if err := c.Close(); err != nil {
			return nil, status.Errorf(codes.Internal, "ending the exposition: %v", err)
		}
	}
	return &pluginv1.CollectMetricsResponse{ContentType: string(format), Exposition: b.Bytes()}, nil
}

// Drain implements pluginv1.LifecycleServiceServer. The dispatcher does not count this call, so that it does not wait
// for itself.
func (l *lifecycle) Drain(_ context.Context, r *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.GetGrace().AsDuration())
	defer cancel()
	if err := l.dispatcher.Drain(ctx, "the plugin is ending"); err != nil {
		l.host.logger.Warn("calls were still in flight when the plugin ended", "grace", r.GetGrace().AsDuration())
	}
	l.host.objects.closeAll()
	if l.host.stop != nil {
		l.host.stop()
	}
	return &pluginv1.DrainResponse{}, nil
}
