package hostservice

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/timestamppb"

	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
)

// stuck is a log that takes no line until it is released.
type stuck struct {
	release chan struct{}
	mu      sync.Mutex
	lines   []string
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(p))
	return len(p), nil
}

func entry(payload int) *telemetryv1.Telemetry {
	return &telemetryv1.Telemetry{Time: timestamppb.Now(), Type: "test", Subject: "subject",
		Payload: make([]byte, payload)}
}

func TestTelemetryNeverWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload, entries int
		accepted         int // one more than fits the queue: the drain holds one
	}{
		"the queue is full":  {1, 1500, telemetryQueue + 1},
		"its bytes are full": {1 << 20, 100, telemetryBytes >> 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &stuck{release: make(chan struct{})}
			registry := prometheus.NewRegistry()
			telemetry, err := NewTelemetry(TelemetrySettings{
				Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: registry,
			})
			if err != nil {
				t.Fatal(err)
			}
			if !telemetry.Offer(entry(c.payload)) {
				t.Fatal("the first entry was not taken")
			}
			// The drain holds the first entry in the log, so that what follows fills the queue exactly.
			for deadline := time.Now().Add(time.Minute); len(telemetry.queue) > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the drain does not begin")
				}
			}
			request := &telemetryv1.SendTelemetryRequest{}
			for range c.entries - 1 {
				request.Entries = append(request.Entries, entry(c.payload))
			}
			r, err := telemetry.SendTelemetry(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			accepted := int(r.GetAccepted()) + 1
			if accepted+int(r.GetDropped()) != c.entries || accepted > c.accepted || accepted < c.accepted-1 {
				t.Errorf("accepted %d, dropped %d; want about %d accepted", accepted, r.GetDropped(), c.accepted)
			}
			if got := testutil.ToFloat64(telemetry.accepted); int(got) != accepted {
				t.Errorf("loop_telemetry_accepted_total is %v; want %d", got, accepted)
			}
			if got := testutil.ToFloat64(telemetry.dropped); int(got) != c.entries-accepted {
				t.Errorf("loop_telemetry_dropped_total is %v; want %d", got, c.entries-accepted)
			}
			close(out.release)
			telemetry.Close()
			telemetry.Close()
			if len(out.lines) != accepted || !strings.Contains(out.lines[0], "subject=subject") {
				t.Errorf("%d lines were logged; want %d, of the kind %q", len(out.lines), accepted, out.lines[:1])
			}
			if telemetry.Offer(entry(1)) {
				t.Error("an entry was taken after the end")
			}
			if _, err := NewTelemetry(TelemetrySettings{Registerer: registry}); err == nil {
				t.Error("a second telemetry was registered")
			}
		})
	}
}
