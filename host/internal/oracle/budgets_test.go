package oracle

import (
	"slices"
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"

	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/host/internal/oracle/deadline"
)

func TestBudgetOfTheInitialization(t *testing.T) {
	t.Parallel()
	var nodes []*keystore.Keystore
	for range 4 {
		_, keys := newKeys(t)
		nodes = append(nodes, keys)
	}
	want := health.Budget{Name: "MaxDurationInitialization", Time: time.Minute, Least: deadline.Floor}
	for version, config := range map[int]types.ContractConfig{2: contractConfig(t, nodes...), 3: ocr3Config(t, nodes...)} {
		if got := budgetsOf(config, version, 0); !slices.Contains(got, want) {
			t.Errorf("OCR%d: %+v", version, got)
		}
	}
}
