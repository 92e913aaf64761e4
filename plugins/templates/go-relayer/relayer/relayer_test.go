package relayer

import (
	"errors"
	"log/slog"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
)

// The relayer keeps the contract, inside this process. As a process of its own it is judged by the program conformance.
func TestConformance(t *testing.T) {
	t.Parallel()
	plugin := relayerv1loop.RelayerPlugin(func(h *loop.Host) relayerv1loop.RelayerService {
		return New(service.Settings{Logger: h.Logger(), Registerer: h.Registry(), Relay: "acme"})
	})
	given := looptest.DefaultRelayer()
	given.SignedHash = func(transaction []byte) []byte { return crypto.Keccak256(transaction) }
	looptest.Run(t, looptest.Settings{Kind: "relayer", InProcess: &plugin, Relayer: given, Patience: 10})
}

// Operators are shown every key.
func TestReference(t *testing.T) {
	t.Parallel()
	r := New(service.Settings{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Relay: "acme"})
	relayertest.Reference(t, r, Config{})
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	const nodes = "\n[[Nodes]]\nName = 'n'\nHTTPURL = 'http://127.0.0.1:1'\n"
	for section, want := range map[string]string{
		"ChainID = '5'\nTipCap = 100" + nodes:      "",
		"ChainID = '05'" + nodes:                   "ChainID",
		"ChainID = '5'\nTipCap = 101" + nodes:      "TipCap",
		"ChainID = '5'\nFeeCapMax = 99" + nodes:    "FeeCapMax",
		"ChainID = '5'\nFinalityDepth = 0" + nodes: "FinalityDepth",
		"ChainID = '5'\n[[Nodes]]\nName = 'n'\n":   "Nodes[0].HTTPURL",
	} {
		path := ""
		_, found := parseConfig("Acme", []byte(section))
		for _, problem := range found.List() {
			path += problem.Path
		}
		if path != want {
			t.Errorf("%q has problems with %q, want %q", section, path, want)
		}
	}
}

func TestFees(t *testing.T) {
	t.Parallel()
	a := &account{config: Config{FeeCap: 100, TipCap: 1, FeeCapMax: 130}}
	for attempts, want := range []*big.Int{big.NewInt(100e9), big.NewInt(125e9), nil} {
		feeCap, _, err := a.fees(attempts)
		if want == nil && !errors.Is(err, relayer.ErrCeiling) || want != nil && (err != nil || feeCap.Cmp(want) != 0) {
			t.Errorf("after %d attempts: %v, %v; want %v", attempts, feeCap, err, want)
		}
	}
}
