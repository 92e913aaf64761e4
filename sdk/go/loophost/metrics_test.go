package loophost_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// A plugin with more metrics than are read is told so, and not asked again at once.
func TestMetricsThatAreTooLong(t *testing.T) {
	t.Parallel()
	asked := 0
	root := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		h.Registry().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "talkative", Help: strings.Repeat("x", loophost.MaxExposition),
		}, func() float64 { asked++; return 0 }))
		return &fakeRelayer{host: h}
	})
	r := newRuntime(t)
	p, err := relayerv1loophost.LaunchRelayer(t.Context(), r, loophost.PluginSettings{Name: "fake", InProcess: &root})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := p.CollectMetrics(t.Context(), "")
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "more than 4 MiB of metrics") {
			t.Errorf("got %v", err)
		}
	}
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
}
