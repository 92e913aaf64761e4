package median

import (
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Values of the label decision.
const (
	decisionReport   = "report"
	decisionAccept   = "accept"
	decisionTransmit = "transmit"
)

// metrics count over all jobs of the process: a label per job or contract would grow without bound.
type metrics struct {
	observations *prometheus.CounterVec
	decisions    *prometheus.CounterVec
	instances    prometheus.Gauge
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		observations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_median_observations_total",
			Help: "Observations by outcome: made, late (the deadline passed or the caller went) or failed.",
		}, []string{"outcome"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_median_decisions_total",
			Help: "Answers to whether to report, accept or transmit: yes, no or failed.",
		}, []string{"decision", "answer"}),
		instances: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "loop_median_instances",
			Help: "Reporting plugins that are alive, one per job and on-chain configuration.",
		}),
	}
	registry.MustRegister(m.observations, m.decisions, m.instances)
	return m
}

// observed counts an observation; after a panic there is neither an answer nor an error.
func (m *metrics) observed(made bool, err error) {
	outcome := "failed"
	switch code := status.Code(err); {
	case made:
		outcome = "made"
	case code == codes.DeadlineExceeded, code == codes.Canceled:
		outcome = "late"
	}
	m.observations.WithLabelValues(outcome).Inc()
}

// decided counts a decision that was made, or was not.
func (m *metrics) decided(decision string, made, yes bool) {
	answer := "no"
	switch {
	case !made:
		answer = "failed"
	case yes:
		answer = "yes"
	}
	m.decisions.WithLabelValues(decision, answer).Inc()
}
