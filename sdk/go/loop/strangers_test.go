package loop_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/loop-plugins/loop/sdk/go/wire"
	"github.com/loop-plugins/loop/sdk/go/wire/frames"
)

// Whoever reaches a plugin's socket and never shakes hands occupies few of the plugin's descriptors, none of them for
// long, and does not keep the host away, whether it calls by gRPC or by frames.
func TestStrangers(t *testing.T) {
	t.Parallel()
	c := launch(t)
	path := strings.TrimPrefix(c.address, "unix:")
	const all = 4 * frames.MaxStrangers
	ends := make(chan error, all)
	begin := time.Now()
	for range all {
		stranger, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer stranger.Close()
		// less than gRPC would wait, and time enough for a busy machine
		if err := stranger.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := stranger.Read(make([]byte, 1))
			ends <- err
		}()
	}
	ended := func(number int) {
		t.Helper()
		for range number {
			if err := <-ends; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a connection does not end but gives %v", err)
			}
		}
	}
	ended(all - frames.MaxStrangers)
	if took := time.Since(begin); took > frames.MaxHandshake-time.Second {
		t.Errorf("the oldest made no room for others; enough of them had ended after %s", took)
	}
	health, err := grpc_health_v1.NewHealthClient(c.conn()).Check(t.Context(),
		&grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("the host calls by gRPC: %v, %v", health.GetStatus(), err)
	}
	config, err := wire.ClientTLS(c.host.TLS, c.serverPEM)
	if err != nil {
		t.Fatal(err)
	}
	framed, err := frames.Dial(t.Context(), "unix", path, config)
	if err != nil {
		t.Fatalf("the host calls by frames: %v", err)
	}
	defer framed.Close()
	ended(frames.MaxStrangers)
}
