package process

import "github.com/loop-plugins/loop/sdk/go/loophost/cgroup"

// Delay is what the threads of a process have waited for a processor.
var Delay = delay

// Divide has the starter make groups below the working folder, which is not a part of the machine's groups.
func (s *Starter) Divide() { s.groups = &cgroup.Tree{} }
