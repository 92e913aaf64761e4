// Command loop-solana is the relayer of Solana chains as a plugin process. A LOOP node starts it.
package main

import (
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

func main() {
	relayerv1loop.ServeRelayer(func(h *loop.Host) relayerv1loop.RelayerService {
		return solana.New(solana.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
}
