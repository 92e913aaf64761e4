package simulation_test

import (
	"context"
	"fmt"

	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/simulation"
)

// Four oracles of a product agree on ten outcomes while messages are lost and plugins restarted. An oracle that came to
// another outcome than the others would be the error.
func ExampleRun() {
	plugin := productv1loop.ProductPlugin(newCounter(""))
	result, err := simulation.Run(context.Background(), simulation.Settings{
		InProcess: &plugin, Outcomes: 10, Lose: 0.05, Restart: 0.02, Seed: 1,
	})
	fmt.Println(len(result.Outcomes), err)
	// Output: 10 <nil>
}
