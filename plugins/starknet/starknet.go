// Package starknet is the relayer of Starknet networks: one process of it serves every such network and every job on
// them.
//
// It speaks LOOP's contract on one side and Starknet's JSON-RPC 0.8 to 0.10 on the other. It does not use
// github.com/NethermindEth/starknet.go: package endpoint says why for its client, and package stark for its hashes. It
// must know the host only through the contract, and hold no key: the host's keystore signs.
package starknet

import (
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// Settings is what a Relayer is made of.
type Settings = service.Settings

// Relayer is the plugin's root.
type Relayer = service.Relayer[Config]

// New makes a relayer without chains.
func New(settings Settings) *Relayer {
	return service.New(settings, service.Kind[Config]{
		Name: "Starknet", Parse: ParseConfig, Reference: reference(), Open: newChain,
		AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_STARK, AccountName: accountName,
		ReportAlgorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK,
		Features:        []relayerv1.Feature{relayerv1.Feature_FEATURE_REPLAY, relayerv1.Feature_FEATURE_TRANSACT},
		Spell:           spell, Job: readJob,
	})
}
