package ocr3median

import (
	"testing"

	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
)

// The plugin keeps the contract inside a node's process. As a process of its own it is judged by tools/conformance.
func TestConformance(t *testing.T) {
	t.Parallel()
	p := productv1loop.ProductPlugin(root)
	looptest.Run(t, looptest.Settings{Kind: "product", InProcess: &p, Patience: 10})
}
