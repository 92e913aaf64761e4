package vector_test

import (
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/vector"
)

// Each vector is one instance of a median, and what it must answer step by step.
func ExampleMedian() {
	vectors, err := vector.Median()
	if err != nil {
		fmt.Println(err)
		return
	}
	first := vectors[0]
	fmt.Println(first.Name)
	for _, step := range first.Steps {
		fmt.Println(step.Call, len(step.Want.Bytes))
	}
	// Output:
	// observation/plain
	// query 0
	// observation 52
}
