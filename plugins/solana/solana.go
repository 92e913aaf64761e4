// Package solana is the relayer of Solana chains: one process of it serves every such chain and every job on them.
//
// It speaks LOOP's contract on one side and JSON-RPC on the other. It must know the host only through that contract,
// and hold no key: the host's keystore signs.
package solana

import (
	"github.com/prometheus/client_golang/prometheus"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// metrics are those that no other relayer has. All are labelled with the relay and the chain's id.
type metrics struct {
	price  *prometheus.GaugeVec
	prices *prometheus.CounterVec
}

// Settings is what a Relayer is made of.
type Settings = service.Settings

// Relayer is the plugin's root.
type Relayer = service.Relayer[Config]

// New makes a relayer without chains.
func New(settings Settings) *Relayer {
	m := &metrics{
		price: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "loop_solana_compute_unit_price",
			Help: "What others pay, as it was last read with FeeEstimatorMode blockhistory or recentfees, " +
				"in millionths of a lamport per compute unit; absent while it cannot be read.",
		}, []string{"chain_id"}),
		prices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "loop_solana_price_reads_total",
			Help: "Readings of what others pay, by outcome: ok, or failed when it could not be read.",
		}, []string{"chain_id", "outcome"}),
	}
	return service.New(settings, service.Kind[Config]{
		Name: "Solana", Own: []service.Vector{m.price, m.prices}, Parse: ParseConfig, Reference: reference(),
		AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519, AccountName: accountName,
		ReportAlgorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS,
		Features:        []relayerv1.Feature{relayerv1.Feature_FEATURE_TRANSACT, relayerv1.Feature_FEATURE_REPLAY},
		Spell:           spell, Job: readJob,
		Open: func(config Config, env service.Env) (relayerv1loop.Chain, error) {
			return newChain(config, env, m), nil
		},
	})
}
