package supervise_test

import (
	"fmt"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// The first relaunch is immediate. A plugin that ends again before it serves is launched after a pause.
func ExampleMachine() {
	var machine supervise.Machine
	now := time.Unix(0, 0)
	for _, event := range []supervise.Event{supervise.Begin, supervise.BecameReady, supervise.Died, supervise.Died} {
		effect := machine.Step(now, event)
		fmt.Println(machine.State(), effect.Launch, effect.Pause)
	}
	// Output:
	// starting true 0s
	// ready false 0s
	// restarting true 0s
	// restarting false 100ms
}
