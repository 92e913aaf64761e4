package loop

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// debug serves a plugin that a person has started, usually under a debugger, until that person ends it. Hosts attach to
// it by the file that it writes, one after another, and each replaces the one before.
func debug(ctx context.Context, p Plugin, name string, stderr io.Writer) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
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
	base := cmp.Or(os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()) // as hosts do
	folder, err := os.MkdirTemp(base, "loop-debug-")           // 0700
	if err != nil {
		return fmt.Errorf("making a folder for the socket below %s: %w; name another one by XDG_RUNTIME_DIR or TMPDIR", base,
			err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	socket := filepath.Join(folder, "plugin")
	// The next process of this plugin writes the same file, so that the node need not be told anew.
	file := filepath.Join(base, fmt.Sprintf("loop-debug-%d-%s.json", os.Geteuid(), name))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listening on %s: %w; name a folder of a shorter name by XDG_RUNTIME_DIR or TMPDIR", socket, err)
	}
	host := newHost(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug})), true)
	host.again = true
	framed := newFramed(host.logger)
	defer framed.Stop()
	s := grpc.NewServer(grpc.Creds(frames.Credentials(config, framed)), grpc.ForceServerCodecV2(wire.Codec()),
		grpc.ConnectionTimeout(frames.MaxHandshake), grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
		grpc.MaxSendMsgSize(wire.MaxMessageBytes))
	healthy := health.NewServer()
	healthy.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, healthy)
	bind(p, host, framed.Beside(s), dialHost)
	defer host.objects.closeAll()
	context.AfterFunc(ctx, s.Stop)
	attachment := wire.Attachment{
		Kind: p.Kind.Name, ProtocolVersion: p.Kind.ProtocolVersion, PID: os.Getpid(), Address: "unix:" + socket,
		CertificatePEM: string(own.CertificatePEM), HostCertificatePEM: string(client.CertificatePEM),
		HostKeyPEM: string(client.KeyPEM),
	}
	if err := attachment.Write(file); err != nil {
		_ = listener.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	defer func() {
		if now, err := wire.ReadAttachment(file); err == nil && now.PID == attachment.PID {
			_ = os.Remove(file)
		}
	}()
	_, _ = fmt.Fprintf(stderr, "%s serves as process %d until Ctrl-C. Start the node with LOOP_REATTACH=%s=%s\n",
		name, os.Getpid(), strings.ReplaceAll(strings.TrimPrefix(name, "loop-"), "-", ""), file) // as nodes name plugins
	return s.Serve(listener) // nil after Stop
}
