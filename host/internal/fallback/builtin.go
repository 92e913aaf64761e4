//go:build !bare

package fallback

import (
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/plugins/median"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// Plugins are the built-in plugins by name.
func Plugins() map[string]Plugin {
	return map[string]Plugin{
		"median": {New: func() loop.Plugin {
			return medianv1loop.MedianPlugin(func(h *loop.Host) medianv1loop.MedianService { return median.New(h) })
		}},
		"evm": {New: func() loop.Plugin {
			return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
				return evm.New(evm.Settings{Logger: h.Logger(), Registerer: h.Registry()})
			})
		}, Check: evm.SigningCheck},
		"solana": {New: func() loop.Plugin {
			return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
				return solana.New(solana.Settings{Logger: h.Logger(), Registerer: h.Registry()})
			})
		}, Files: keystore.FileForm{KeyType: "Solana", Prefix: "solkey"}, Check: solana.SigningCheck},
		"starknet": {New: func() loop.Plugin {
			return relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
				return starknet.New(starknet.Settings{Logger: h.Logger(), Registerer: h.Registry()})
			})
		}, Files: keystore.FileForm{KeyType: "StarkNet", Prefix: "starkkey"}, Check: starknet.SigningCheck},
	}
}
