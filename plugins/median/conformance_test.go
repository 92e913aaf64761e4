package median_test

import (
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/plugins/median"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// The plugin keeps the contract inside a node's process. As a process of its own it is judged by tools/conformance.
func TestConformance(t *testing.T) {
	t.Parallel()
	p := medianv1loop.MedianPlugin(func(h *loop.Host) medianv1loop.MedianService { return median.New(h) })
	looptest.Run(t, looptest.Settings{Kind: "median", InProcess: &p, Patience: 10})
}
