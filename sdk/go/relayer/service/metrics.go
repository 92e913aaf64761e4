package service

import (
	"math/big"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// The labels that several metrics have. With relay, which all have, they are those of the node's loop_job_info.
const (
	labelChain    = "chain_id"
	labelNode     = "node"
	labelAccount  = "account"
	labelContract = "contract"
)

// Vector is a metric with labels, among them chain_id.
type Vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

// Metrics are the metrics that all relayers have. All have the labels relay and chain_id.
type Metrics struct {
	calls         *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	height        *prometheus.GaugeVec
	queue         *prometheus.GaugeVec
	transmissions *prometheus.CounterVec
	landings      *prometheus.HistogramVec
	fees          *prometheus.CounterVec
	balance       *prometheus.GaugeVec
	unfunded      *prometheus.GaugeVec
	own           []Vector

	// What is asked of a chain whenever it is scraped.
	up, age, answer, answered *prometheus.Desc

	mu     sync.Mutex
	chains map[string]func() now
}

// now is what a chain says of itself when it is asked.
type now struct {
	up      map[string]bool          // by RPC node
	ages    map[string]time.Duration // of queues, by account
	answers map[string]Transmission  // by contract
}

func newMetrics(registerer prometheus.Registerer, relay string, own []Vector) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_relayer_rpc_calls_total",
			Help: "Calls made at each RPC node, by outcome: ok, or fault when the node failed, also to be connected.",
		}, []string{labelChain, labelNode, "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "loop_relayer_rpc_call_duration_seconds",
			Help: "How long calls took at each RPC node.",
			// From a node beside the relayer to the longest timeout.
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{labelChain, labelNode}),
		height: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_relayer_head",
			Help: "Number of the newest block or slot that each RPC node told of.",
		}, []string{labelChain, labelNode}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_relayer_queue_length",
			Help: "Transmissions of each account: waiting for a transaction, or flying in one that is not final nor expired.",
		}, []string{labelChain, labelAccount, "state"}),
		transmissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_relayer_transmissions_total",
			Help: "Transmissions that ended, by ending: transmitted, reverted, or stale when a newer one was first.",
		}, []string{labelChain, "ending"}),
		landings: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "loop_relayer_landing_duration_seconds",
			Help: "How long after the relayer took a report over its transaction came into a block.",
			// From one block of a fast chain to a queue that stands still.
			Buckets: []float64{.5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		}, []string{labelChain}),
		fees: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_relayer_fees_total",
			Help: "What the transactions of each account that are final have cost since the process began, in whole coins.",
		}, []string{labelChain, labelAccount}),
		balance: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_relayer_account_balance",
			Help: "What each transmitting account holds of the coin that it pays with, in whole coins.",
		}, []string{labelChain, labelAccount}),
		unfunded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_relayer_account_unfunded",
			Help: "1 for each account whose transactions wait because it cannot pay for them, otherwise 0.",
		}, []string{labelChain, labelAccount}),
		own: own,
		up: prometheus.NewDesc("loop_relayer_rpc_node_up",
			"1 for each RPC node that serves, otherwise 0.",
			[]string{labelChain, labelNode}, nil),
		age: prometheus.NewDesc("loop_relayer_queue_age_seconds",
			"For how long the oldest transmission of each account has waited that is in no block; 0: there is none.",
			[]string{labelChain, labelAccount}, nil),
		answer: prometheus.NewDesc("loop_relayer_contract_answer",
			"Newest answer of each contract that jobs follow, in the contract's own unit.",
			[]string{labelChain, labelContract}, nil),
		answered: prometheus.NewDesc("loop_relayer_contract_answer_timestamp_seconds",
			"When the newest answer of each contract came, by its chain's clock, since 1970.",
			[]string{labelChain, labelContract}, nil),
		chains: map[string]func() now{},
	}
	registerer = prometheus.WrapRegistererWith(prometheus.Labels{"relay": relay}, registerer)
	for _, vector := range m.all() {
		registerer.MustRegister(vector)
	}
	registerer.MustRegister(m)
	return m
}

func (m *Metrics) all() []Vector {
	return append([]Vector{
		m.calls, m.durations, m.height, m.queue, m.transmissions, m.landings, m.fees, m.balance, m.unfunded,
	}, m.own...)
}

// follow has a chain asked until it is forgotten.
func (m *Metrics) follow(chain string, ask func() now) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chains[chain] = ask
}

// forget removes a chain that was released.
func (m *Metrics) forget(chain string) {
	m.mu.Lock()
	delete(m.chains, chain)
	m.mu.Unlock()
	for _, vector := range m.all() {
		vector.DeletePartialMatch(prometheus.Labels{labelChain: chain})
	}
}

// node begins the counts of an RPC node, so that they are there before its first call.
func (m *Metrics) node(chain, node string) {
	for _, outcome := range []string{"ok", "fault"} {
		m.calls.WithLabelValues(chain, node, outcome)
	}
}

// pool has the calls of a chain's pool counted.
func (m *Metrics) pool(settings *relayer.PoolSettings, chain string) {
	settings.Observe = func(node, outcome string, took time.Duration) {
		m.calls.WithLabelValues(chain, node, outcome).Inc()
		if took > 0 {
			m.durations.WithLabelValues(chain, node).Observe(took.Seconds())
		}
	}
}

// account has the transmissions of an account counted. coin is one coin in its smallest unit.
func (m *Metrics) account(settings *relayer.QueueSettings, chain string, coin float64) {
	account := settings.Account
	settings.Settled = func(_ relayer.Item, ending string) { m.transmissions.WithLabelValues(chain, ending).Inc() }
	settings.Landed = func(took time.Duration) { m.landings.WithLabelValues(chain).Observe(took.Seconds()) }
	settings.Depth = func(waiting, flying int) {
		m.queue.WithLabelValues(chain, account, "waiting").Set(float64(waiting))
		m.queue.WithLabelValues(chain, account, "flying").Set(float64(flying))
	}
	fees := m.fees.WithLabelValues(chain, account)
	settings.Spent = func(fee *big.Int) {
		spent, _ := new(big.Float).SetInt(fee).Float64()
		fees.Add(spent / max(coin, 1))
	}
	unfunded := m.unfunded.WithLabelValues(chain, account)
	settings.Unfunded = func(lacks bool) { unfunded.Set(one(lacks)) }
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{m.up, m.age, m.answer, m.answered} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for chain, ask := range m.chains {
		gauge := func(desc *prometheus.Desc, value float64, of string) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, chain, of)
		}
		now := ask()
		for node, up := range now.up {
			gauge(m.up, one(up), node)
		}
		for account, age := range now.ages {
			gauge(m.age, age.Seconds(), account)
		}
		for contract, t := range now.answers {
			answer, _ := t.Answer.Float64()
			gauge(m.answer, answer, contract)
			gauge(m.answered, float64(t.Time.UnixMilli())/1000, contract)
		}
	}
}

// one is 1 for what holds, otherwise 0.
func one(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
