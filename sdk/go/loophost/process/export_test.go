package process

import (
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/cgroup"
)

// A busy machine may take long to run a process that is to write its stacks.
func init() { stacks = time.Minute }

// Turns is how long the threads of a process have had a processor and have waited for one.
var Turns = turns

// Divide has the starter make groups below the working folder, which is not a part of the machine's groups.
func (s *Starter) Divide() { s.groups = &cgroup.Tree{} }
