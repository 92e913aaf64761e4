// Package starknet is the relayer of Starknet networks: one process of it serves every such network and every job on them.
//
// It speaks LOOP's contract on one side and Starknet's JSON-RPC 0.8 to 0.10 on the other. Of
// github.com/NethermindEth/starknet.go it uses nothing: package endpoint says why for its client, package stark for its
// hashes. It must not know the host but through the contract, nor hold a key: the host's keystore signs.
package starknet

import (
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// Settings is what a Relayer is made of.
type Settings = service.Settings

// Relayer is the plugin's root.
type Relayer = service.Relayer[Config]

// New makes a relayer without chains.
func New(settings Settings) *Relayer {
	return service.New(settings, service.Kind[Config]{Name: kind, Metrics: "starknet", Parse: ParseConfig, Reference: reference(), Open: newChain})
}

// kind is what operators call these chains, in headers of the configuration too.
const kind = "Starknet"
