package evm_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// The plugin keeps the contract inside a node's process. As a process of its own it is judged by tools/conformance.
func TestConformance(t *testing.T) {
	t.Parallel()
	p := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return evm.New(evm.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
	given := looptest.DefaultRelayer()
	given.SignedHash = func(transaction []byte) []byte { return crypto.Keccak256(transaction) }
	looptest.Run(t, looptest.Settings{Kind: "relayer", InProcess: &p, Relayer: given, Patience: 10})
}
