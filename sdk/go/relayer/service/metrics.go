package service

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Vector is a metric with labels, of which one is chain.
type Vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

// Metrics are those that all relayers have. All are labelled with the chain's id.
type Metrics struct {
	calls         *prometheus.CounterVec
	height        *prometheus.GaugeVec
	queue         *prometheus.GaugeVec
	transmissions *prometheus.CounterVec
	own           []Vector
}

func newMetrics(registerer prometheus.Registerer, name string, own []Vector) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_" + name + "_rpc_calls_total", Help: "Calls made at each RPC node, by outcome: ok, or fault when the node failed and another was tried.",
		}, []string{"chain", "node", "outcome"}),
		height: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_" + name + "_head", Help: "Number of the newest block or slot that each RPC node told of.",
		}, []string{"chain", "node"}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_" + name + "_queue_length", Help: "Transmissions of each account: waiting for a transaction, or flying in one that is neither final nor expired.",
		}, []string{"chain", "account", "state"}),
		transmissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_" + name + "_transmissions_total", Help: "Transmissions that ended, by ending: transmitted, reverted, or stale when a newer one was first.",
		}, []string{"chain", "ending"}),
		own: own,
	}
	for _, vector := range m.all() {
		registerer.MustRegister(vector)
	}
	return m
}

func (m *Metrics) all() []Vector {
	return append([]Vector{m.calls, m.height, m.queue, m.transmissions}, m.own...)
}

// forget removes a chain that was released.
func (m *Metrics) forget(chain string) {
	for _, vector := range m.all() {
		vector.DeletePartialMatch(prometheus.Labels{"chain": chain})
	}
}

// pool has the calls of a chain's pool counted.
func (m *Metrics) pool(settings *relayer.PoolSettings, chain string) {
	settings.Observe = func(node, outcome string) { m.calls.WithLabelValues(chain, node, outcome).Inc() }
}

// account has the transmissions of an account counted.
func (m *Metrics) account(settings *relayer.QueueSettings, chain string) {
	settings.Settled = func(_ relayer.Item, ending string) { m.transmissions.WithLabelValues(chain, ending).Inc() }
	account := settings.Account
	settings.Depth = func(waiting, flying int) {
		m.queue.WithLabelValues(chain, account, "waiting").Set(float64(waiting))
		m.queue.WithLabelValues(chain, account, "flying").Set(float64(flying))
	}
}
