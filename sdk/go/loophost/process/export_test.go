package process

import "github.com/loop-plugins/loop/sdk/go/loophost/cgroup"

// Divide has the starter make groups below the working folder, which is not a part of the machine's groups.
func (s *Starter) Divide() { s.groups = &cgroup.Tree{} }
