// Package evm is the relayer of EVM chains: one process of it serves every such chain and every job on them.
//
// It speaks LOOP's contract on one side and JSON-RPC on the other. It must know the host only through that contract,
// and hold no key: the host's keystore signs.
package evm

import (
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// Settings is what a Relayer is made of.
type Settings = service.Settings

// Relayer is the plugin's root.
type Relayer = service.Relayer[Config]

// New makes a relayer without chains.
func New(settings Settings) *Relayer {
	return service.New(settings, service.Kind[Config]{
		Name: "EVM", Parse: ParseConfig, Reference: reference(),
		AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1, AccountName: accountName,
		ReportAlgorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_SECP256K1_ADDRESS,
		Features: []relayerv1.Feature{
			relayerv1.Feature_FEATURE_READ_CONTRACT, relayerv1.Feature_FEATURE_TRANSACT, relayerv1.Feature_FEATURE_REPLAY,
		},
		Spell: spell, Job: readJob,
		Open: func(config Config, env service.Env) (relayerv1loop.Chain, error) {
			return newChain(config, env)
		},
	})
}
