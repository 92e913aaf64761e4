package hostservice

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	telemetryv1 "github.com/loop-plugins/loop/gen/go/loop/telemetry/v1"
)

var _ telemetryv1.TelemetryServiceServer = (*Telemetry)(nil)

const (
	// telemetryQueue is how many entries wait: some seconds of the telemetry of forty feeds.
	telemetryQueue = 1000
	// telemetryBytes bounds the payloads of waiting entries, in bytes: without it, a thousand entries of the contract's
	// greatest length (1 MiB) would fill the memory of a small machine.
	telemetryBytes = 4 << 20
)

// TelemetrySettings configure NewTelemetry.
type TelemetrySettings struct {
	// Logger receives each entry at level debug. Default: none.
	Logger *slog.Logger
	// Registerer takes loop_telemetry_accepted_total and loop_telemetry_dropped_total. Default: none.
	Registerer prometheus.Registerer
}

// Telemetry receives telemetry from plugins and from the node itself. It drops and counts what does not fit its queue,
// so that nothing ever waits.
type Telemetry struct {
	logger            *slog.Logger
	accepted, dropped prometheus.Counter
	ended             chan struct{}

	mu     sync.Mutex
	queue  chan *telemetryv1.Telemetry
	bytes  int
	closed bool
}

// NewTelemetry starts the goroutine that drains the queue. Close ends it.
func NewTelemetry(s TelemetrySettings) (*Telemetry, error) {
	t := &Telemetry{
		logger: s.Logger, ended: make(chan struct{}), queue: make(chan *telemetryv1.Telemetry, telemetryQueue),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "loop_telemetry_accepted_total", Help: "Entries of telemetry that the node took.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "loop_telemetry_dropped_total", Help: "Entries of telemetry that the node dropped because its queue was full.",
		}),
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	if s.Registerer != nil {
		for _, counter := range []prometheus.Counter{t.accepted, t.dropped} {
			if err := s.Registerer.Register(counter); err != nil {
				return nil, fmt.Errorf("registering the metrics of telemetry: %w", err)
			}
		}
	}
	go t.drain()
	return t, nil
}

// Offer passes on one entry and reports whether it was accepted. It never waits. The entry must not change afterwards.
func (t *Telemetry) Offer(entry *telemetryv1.Telemetry) bool {
	size := proto.Size(entry)
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := false
	if !t.closed && t.bytes+size <= telemetryBytes {
		select {
		case t.queue <- entry:
			t.bytes += size
			taken = true
		default:
		}
	}
	if taken {
		t.accepted.Inc()
	} else {
		t.dropped.Inc()
	}
	return taken
}

// SendTelemetry implements telemetryv1.TelemetryServiceServer.
func (t *Telemetry) SendTelemetry(_ context.Context,
	request *telemetryv1.SendTelemetryRequest) (*telemetryv1.SendTelemetryResponse, error) {
	response := &telemetryv1.SendTelemetryResponse{}
	for _, entry := range request.GetEntries() {
		if t.Offer(entry) {
			response.Accepted++
		} else {
			response.Dropped++
		}
	}
	return response, nil
}

// Close processes the queue and ends. Later entries are dropped.
func (t *Telemetry) Close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.queue)
	}
	t.mu.Unlock()
	<-t.ended
}

func (t *Telemetry) drain() {
	defer close(t.ended)
	for entry := range t.queue {
		size := proto.Size(entry)
		t.mu.Lock()
		t.bytes -= size
		t.mu.Unlock()
		t.logger.Debug("telemetry", "time", entry.GetTime().AsTime(), "subject", entry.GetSubject(), "type", entry.GetType(),
			"bytes", len(entry.GetPayload()))
	}
}
