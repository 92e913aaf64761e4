package starknet_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// The plugin keeps the contract inside a node's process, on a chain of its own kind.
func TestConformance(t *testing.T) {
	t.Parallel()
	o := newOracles(t)
	d := newFakeChain(t, o, newest)
	f := newFeed(d, o)
	f.configure("conformance")
	relayConfig, err := json.Marshal(map[string]string{"chainID": fakeChainID, "accountAddress": o.accounts[0].String()})
	must(t, err)
	given := looptest.Relayer{
		ChainID: fakeChainID,
		ConfigTOML: fmt.Sprintf("ChainID = %q\nOCR2CachePollPeriod = '100ms'\nRequestTimeout = '2s'\n\n[[Nodes]]\nName = "+
			"'conformance'\nURL = '$RPC_URL'\n", fakeChainID),
		NodeURL:    d.url,
		ContractID: f.address.String(), TransmitterID: o.transmitters[0].Public().String(),
		RelayConfigJSON: string(relayConfig),
		Signature:       make([]byte, 96), Unsigned: true,
	}
	for i, account := range o.accounts {
		signer := o.signers[i].Public().Bytes()
		given.Signers, given.Transmitters = append(given.Signers, signer[:]), append(given.Transmitters, account.String())
	}
	p := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return starknet.New(starknet.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
	looptest.Run(t, looptest.Settings{Kind: "relayer", InProcess: &p, Relayer: given, Patience: 10})
}
