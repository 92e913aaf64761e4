// Package cgroup keeps processes in control groups (cgroup v2), where a part of the machine's tree of them is this
// host's: what is in a group is bounded together and ends together, whatever its parents, its session and its user.
//
// It knows the kernel's files. It must not know what runs in a group.
package cgroup

// Limits bound what runs in a group, where the kernel's controllers for it are delegated too. 0: it is not bounded.
type Limits struct {
	// Memory is in bytes. Who needs more is killed with the whole group.
	Memory uint64
	// Processes counts threads.
	Processes uint64
}
