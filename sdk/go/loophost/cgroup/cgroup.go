// Package cgroup keeps processes in control groups (cgroup v2), if a part of the machine's tree is delegated to this
// host. Everything in a group is bounded together and ends together, whatever its parents, session and user.
//
// It knows the kernel's files. It must not know what runs in a group.
package cgroup

// Limits bound what runs in a group, as far as the kernel's controllers are delegated too. 0 means no bound.
type Limits struct {
	// Memory is in bytes. If the group needs more, the kernel kills the whole group.
	Memory uint64
	// Processes counts threads.
	Processes uint64
}
