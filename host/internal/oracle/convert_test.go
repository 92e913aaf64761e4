package oracle

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocr "github.com/smartcontractkit/libocr/offchainreporting2plus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestDeviationFunction(t *testing.T) {
	t.Parallel()
	if deviationTo(nil) != nil {
		t.Error("a job without one has one")
	}
	expires := time.Unix(1893456000, 0).UTC()
	got := deviationTo(&job.DeviationFunc{Type: "pendle", ExpiresAt: expires, Multiplier: big.NewInt(5)})
	if got.GetType() != "pendle" || !got.GetExpiresAt().AsTime().Equal(expires) || wire.Int(got.GetMultiplier()).Int64() != 5 {
		t.Errorf("got %v", got)
	}
}

func TestAccountIsInTheFormOfTheContractsConfiguration(t *testing.T) {
	t.Parallel()
	const checksummed, forwarder = "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
	for name, c := range map[string]struct {
		relay, transmitter, config string
		want                       types.Account
	}{
		"evm in lower case":                {"evm", "0x5fbdb2315678afecb367f032d93f642f64180aa3", "", checksummed},
		"evm in upper case":                {"evm", "0x5FBDB2315678AFECB367F032D93F642F64180AA3", "{}", checksummed},
		"evm through a forwarder":          {"evm", checksummed, `{"effectiveTransmitterID": "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"}`, forwarder},
		"evm, not an address":              {"evm", "5fbd", "", ""},
		"solana":                           {"solana", "7aLzRTQdJjYVbEVT2zu4gV2oZDEZ4NPDMpWGtGK3bhDi", "{}", "7aLzRTQdJjYVbEVT2zu4gV2oZDEZ4NPDMpWGtGK3bhDi"},
		"solana without one":               {"solana", "", "{}", ""},
		"starknet's account, not its key":  {"starknet", "0x1234", `{"accountAddress": "0x00AbC"}`, "0xabc"},
		"starknet without an account":      {"starknet", "", "{}", ""},
		"a relayConfig that does not read": {"evm", checksummed, "{", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := accountOf(&job.Spec{Relay: c.relay, TransmitterID: c.transmitter, RelayConfigJSON: []byte(c.config)})
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("account %q, error %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestLocalConfigIsOneThatLibocrTakes(t *testing.T) {
	t.Parallel()
	node := config.Default()
	node.OCR2.BlockchainTimeout = config.Duration{Duration: 11 * time.Second}
	node.OCR2.ContractConfigLoadTimeout = config.Duration{Duration: 12 * time.Second}
	node.OCR2.DefaultMaxDurationInitialization = config.Duration{Duration: 13 * time.Second}
	node.OCR2.DatabaseTimeout = config.Duration{Duration: 9 * time.Second}
	node.OCR2.ContractTransmitterTransmitTimeout = config.Duration{Duration: 14 * time.Second}
	node.Environment.MinOCR2MaxDurationQuery = 150 * time.Millisecond
	for name, c := range map[string]struct {
		node *config.Config
		spec job.Spec
		want types.LocalConfig
	}{
		"the node's": {node, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 11 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute, ContractConfigLoadTimeout: 12 * time.Second,
			ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second, DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
		}},
		"the job's three": {node, job.Spec{BlockchainTimeout: 2 * time.Second, ContractConfigTrackerPollInterval: 3 * time.Second, ContractConfigConfirmations: 7}, types.LocalConfig{
			BlockchainTimeout: 2 * time.Second, ContractConfigConfirmations: 7, ContractConfigTrackerPollInterval: 3 * time.Second, ContractConfigLoadTimeout: 12 * time.Second,
			ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second, DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
		}},
		"nobody's": {&config.Config{}, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 20 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute, ContractConfigLoadTimeout: 10 * time.Second,
			ContractTransmitterTransmitTimeout: 10 * time.Second, DatabaseTimeout: 10 * time.Second, DefaultMaxDurationInitialization: 30 * time.Second, MinOCR2MaxDurationQuery: 0,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := localConfigTo(c.node, &c.spec)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("local config (-want +got):\n%s", d)
			}
			if err := ocr.SanityCheckLocalConfig(got); err != nil {
				t.Error(err)
			}
		})
	}
}
