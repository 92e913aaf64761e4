package evm

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relayer's own. All are labelled with the chain's id.
type metrics struct {
	calls         *prometheus.CounterVec
	height        *prometheus.GaugeVec
	queue         *prometheus.GaugeVec
	transmissions *prometheus.CounterVec
	unfunded      *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_evm_rpc_calls_total", Help: "Calls made at each RPC node, by outcome: ok, or fault when the node failed and another was tried.",
		}, []string{"chain", "node", "outcome"}),
		height: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_evm_head", Help: "Number of the newest block that each RPC node told of.",
		}, []string{"chain", "node"}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_evm_queue_length", Help: "Transmissions of each account: waiting for a nonce, or flying with one and not final.",
		}, []string{"chain", "account", "state"}),
		transmissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_evm_transmissions_total", Help: "Transmissions that ended, by ending: transmitted, reverted, or stale when a newer one was first.",
		}, []string{"chain", "ending"}),
		unfunded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_evm_account_unfunded", Help: "1 for each account whose transactions wait because it cannot pay for them, otherwise 0.",
		}, []string{"chain", "account"}),
	}
	registerer.MustRegister(m.calls, m.height, m.queue, m.transmissions, m.unfunded)
	return m
}

// forget removes a chain that was released.
func (m *metrics) forget(chain string) {
	for _, vector := range []interface{ DeletePartialMatch(prometheus.Labels) int }{m.calls, m.height, m.queue, m.transmissions, m.unfunded} {
		vector.DeletePartialMatch(prometheus.Labels{"chain": chain})
	}
}
