package loop

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// initialised resolves names with the object table, and none before Init.
type initialised struct{ host *Host }

// Resolve implements wire.Resolver.
func (r initialised) Resolve(service, object string) (wire.Target, error) {
	if !r.host.initialised() {
		return wire.Target{}, status.Error(codes.FailedPrecondition,
			"the host has not initialised this plugin yet; LifecycleService.Init comes first")
	}
	return r.host.objects.Resolve(service, object)
}

// always resolves to one implementation.
type always struct{ impl any }

// Resolve implements wire.Resolver.
func (r always) Resolve(string, string) (wire.Target, error) { return wire.Target{Impl: r.impl}, nil }

// observer counts and times the calls that a plugin serves.
func observer(registry *prometheus.Registry) func(string, codes.Code, time.Duration) {
	calls := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "loop_plugin_call_duration_seconds",
		Help: "How long calls took that the host made to this plugin, by method and gRPC code.",
		// From a cached answer (100 us) to the longest deadline of the contract (30 s).
		Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30},
	}, []string{"method", "code"})
	registry.MustRegister(calls)
	meters := wire.Meters{Make: func(method, code string) wire.Meter { return calls.WithLabelValues(method, code) }}
	return meters.Observe
}
