// Command loop-starknet is the relayer of Starknet networks as a plugin process. A LOOP node starts it.
package main

import (
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

func main() {
	relayerv1loop.ServeRelayer(func(h *loop.Host) relayerv1loop.RelayerService {
		return starknet.New(starknet.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}
