//go:build unix && !linux

package cgroup

import "syscall"

// Tree is the part of the tree that is this host's, on Linux.
type Tree struct{}

// Delegated is nil: only Linux has control groups.
func Delegated() (*Tree, error) { return nil, nil }

// Controllers are none.
func (*Tree) Controllers() []string { return nil }

// New makes none.
func (*Tree) New(string, Limits) (*Group, error) { return nil, nil }

// Group is one group, on Linux.
type Group struct{}

// Take leaves the process where it is.
func (*Group) Take(*syscall.SysProcAttr) {}

// Kill has nothing to end.
func (*Group) Kill() {}

// OutOfMemory is false.
func (*Group) OutOfMemory() bool { return false }

// Close has nothing to remove.
func (*Group) Close() error { return nil }
