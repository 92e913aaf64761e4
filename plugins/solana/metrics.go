package solana

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the relayer's own. All are labelled with the chain's id.
type metrics struct {
	calls         *prometheus.CounterVec
	height        *prometheus.GaugeVec
	queue         *prometheus.GaugeVec
	transmissions *prometheus.CounterVec
	balance       *prometheus.GaugeVec
	price         *prometheus.GaugeVec
	prices        *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_solana_rpc_calls_total", Help: "Calls made at each RPC node, by outcome: ok, or fault when the node failed and another was tried.",
		}, []string{"chain", "node", "outcome"}),
		height: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_solana_head", Help: "Newest slot that each RPC node told of.",
		}, []string{"chain", "node"}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_solana_queue_length", Help: "Transmissions of each account: waiting for a transaction, or flying in one that is neither confirmed nor expired.",
		}, []string{"chain", "account", "state"}),
		transmissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_solana_transmissions_total", Help: "Transmissions that ended, by ending: transmitted, reverted, or stale when a newer one was first.",
		}, []string{"chain", "ending"}),
		balance: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_solana_balance_lamports", Help: "What each transmitting account holds.",
		}, []string{"chain", "account"}),
		price: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_solana_compute_unit_price",
			Help: "What others pay, as it was last read with FeeEstimatorMode blockhistory or recentfees, " +
				"in millionths of a lamport per compute unit; absent while it cannot be read.",
		}, []string{"chain"}),
		prices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_solana_price_reads_total",
			Help: "Readings of what others pay, by outcome: ok, or failed when it could not be read.",
		}, []string{"chain", "outcome"}),
	}
	registerer.MustRegister(m.calls, m.height, m.queue, m.transmissions, m.balance, m.price, m.prices)
	return m
}

// forget removes a chain that was released.
func (m *metrics) forget(chain string) {
	for _, vector := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		m.calls, m.height, m.queue, m.transmissions, m.balance, m.price, m.prices,
	} {
		vector.DeletePartialMatch(prometheus.Labels{"chain": chain})
	}
}
