package starknet_test

import (
	"testing"

	"github.com/loop-plugins/loop/plugins/starknet"
	"github.com/loop-plugins/loop/sdk/go/relayer/relayertest"
)

// TestReference checks that operators are shown every key.
func TestReference(t *testing.T) {
	t.Parallel()
	relayertest.Reference(t, newFixture(t).Relayer, starknet.Config{})
}
