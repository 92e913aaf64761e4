// Command loop-median serves the median plugin to the node that starts it.
package main

import (
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/plugins/median"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

func main() {
	medianv1loop.ServeMedian(func(h *loop.Host) medianv1loop.MedianService { return median.New(h) })
}
