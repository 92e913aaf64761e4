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
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func TestDeviationFunction(t *testing.T) {
	t.Parallel()
	if deviationTo(nil) != nil {
		t.Error("a job without one has one")
	}
	expires := time.Unix(1893456000, 0).UTC()
	got := deviationTo(&job.DeviationFunc{Type: "pendle", ExpiresAt: expires, Multiplier: big.NewInt(5)})
	if got.GetType() != "pendle" || !got.GetExpiresAt().AsTime().Equal(expires) ||
		wire.Int(got.GetMultiplier()).Int64() != 5 {
		t.Errorf("got %v", got)
	}
}

func TestLocalConfigIsOneThatLibocrTakes(t *testing.T) {
	t.Parallel()
	node := config.Default()
	node.OCR2.BlockchainTimeout = document.Lasting(11 * time.Second)
	node.OCR2.ContractConfigLoadTimeout = document.Lasting(12 * time.Second)
	node.OCR2.DefaultMaxDurationInitialization = document.Lasting(13 * time.Second)
	node.OCR2.DatabaseTimeout = document.Lasting(9 * time.Second)
	node.OCR2.ContractTransmitterTransmitTimeout = document.Lasting(14 * time.Second)
	node.Environment.MinOCR2MaxDurationQuery = 150 * time.Millisecond
	for name, c := range map[string]struct {
		node *config.Config
		spec job.Spec
		want types.LocalConfig
	}{
		"the node's": {node, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 11 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute,
			ContractConfigLoadTimeout:          12 * time.Second,
			ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second,
			DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
		}},
		"the job's three": {node,
			job.Spec{BlockchainTimeout: 2 * time.Second, ContractConfigTrackerPollInterval: 3 * time.Second,
				ContractConfigConfirmations: 7}, types.LocalConfig{
				BlockchainTimeout: 2 * time.Second, ContractConfigConfirmations: 7,
				ContractConfigTrackerPollInterval: 3 * time.Second, ContractConfigLoadTimeout: 12 * time.Second,
				ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second,
				DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
			}},
		"nobody's": {&config.Config{}, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 20 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute,
			ContractConfigLoadTimeout:          10 * time.Second,
			ContractTransmitterTransmitTimeout: 10 * time.Second, DatabaseTimeout: 10 * time.Second,
			DefaultMaxDurationInitialization: 30 * time.Second, MinOCR2MaxDurationQuery: 0,
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
