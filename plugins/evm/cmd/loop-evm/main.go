// Command loop-evm is the relayer of EVM chains as a plugin process. A LOOP node starts it.
package main

import (
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

func main() {
	relayerv1loop.ServeRelayer(func(h *loop.Host) relayerv1loop.RelayerService {
		return evm.New(evm.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}
