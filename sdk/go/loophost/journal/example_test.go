package journal_test

import (
	"fmt"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

// An object is made when its process is ready, and made again in the next one.
func ExampleMachine() {
	machine := journal.New("evm", func() float64 { return 1 })
	for _, event := range []journal.Event{
		{What: journal.Create, Object: "chain"},
		{What: journal.Ready, Generation: 1},
		{What: journal.Made, Object: "chain", Generation: 1},
		{What: journal.Ended, Generation: 1},
	} {
		machine.Step(event)
		fmt.Println(machine.Look("chain").State)
	}
	// Output:
	// creating
	// creating
	// open
	// creating
}
