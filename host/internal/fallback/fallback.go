// Package fallback holds the plugins that a node can run inside its own process. It is the only package of the host that
// imports plugins.
package fallback

import (
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/plugins/median"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// Median is the median plugin.
func Median() loop.Plugin {
	return medianv1loop.MedianPlugin(func(h *loop.Host) medianv1loop.MedianService { return median.New(h) })
}

// EVM is the relayer of EVM chains.
func EVM() loop.Plugin {
	return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return evm.New(evm.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}

// Solana is the relayer of Solana chains.
func Solana() loop.Plugin {
	return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return solana.New(solana.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}

// Starknet is the relayer of Starknet networks.
func Starknet() loop.Plugin {
	return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return starknet.New(starknet.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}

// Names are the names of the plugins.
func Names() []string { return []string{"median", "evm", "solana", "starknet"} }
