package solana_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/solana"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// What the plugin says before it has a chain is judged without one.
func TestConformanceOfDescriptions(t *testing.T) {
	t.Parallel()
	const key, sender = "11111111111111111111111111111112", "11111111111111111111111111111113"
	p := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return solana.New(solana.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
	looptest.Run(t, looptest.Settings{
		Kind: "relayer", InProcess: &p, Patience: 10,
		Run: regexp.MustCompile(
			"^relayer/(describe|reference|validate-chain|accounts|ids|validate-job|provider-type|report-digest)$"),
		Relayer: looptest.Relayer{
			ChainID: "conformance", ConfigTOML: "ChainID = 'conformance'\n\n[[Nodes]]\nName = 'conformance'\nURL = '$RPC_URL'\n",
			ContractID: key, TransmitterID: sender,
			RelayConfigJSON: `{"ocr2ProgramID":"` + key + `","storeProgramID":"` + key + `","transmissionsID":"` + key + `"}`,
		},
	})
}

// The plugin keeps the contract inside a node's process, on a chain of its own kind.
func TestConformance(t *testing.T) {
	t.Parallel()
	d := newDevchain(t)
	feed := d.Feeds[0]
	relayConfig, err := json.Marshal(map[string]string{
		"chainID": "conformance", "ocr2ProgramID": d.Program, "storeProgramID": d.Store,
		"transmissionsID": feed.Transmissions.String(),
	})
	must(t, err)
	given := looptest.Relayer{
		ChainID: "conformance",
		ConfigTOML: "ChainID = 'conformance'\nOCR2CachePollPeriod = '100ms'\nTxTimeout = '2s'\n\n[[Nodes]]\nName = " +
			"'conformance'\nURL = '$RPC_URL'\n",
		NodeURL:    d.Nodes[0].RPC,
		ContractID: feed.State.String(), TransmitterID: d.Oracles[0].Transmitter.PublicKey().String(),
		RelayConfigJSON: string(relayConfig),
		Signature:       make([]byte, 65),
	}
	for i, oracle := range d.Oracles {
		given.Signers = append(given.Signers, append(make([]byte, 19), byte(i+1)))
		given.Transmitters = append(given.Transmitters, oracle.Transmitter.PublicKey().String())
	}
	p := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return solana.New(solana.Settings{Logger: h.Logger(), Registerer: h.Registry()})
	})
	looptest.Run(t, looptest.Settings{Kind: "relayer", InProcess: &p, Relayer: given, Patience: 10})
}
