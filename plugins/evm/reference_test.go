package evm_test

import (
	"testing"

	"github.com/loop-plugins/loop/plugins/evm"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestReference checks that operators are shown every key.
func TestReference(t *testing.T) {
	t.Parallel()
	relayertest.Reference(t, newFixture(t).Relayer, evm.Config{})
}
