//go:build unix && !linux

package process

import "syscall"

// Elsewhere nothing tells a child of its parent's death: a devnet that is killed leaves its nodes behind.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func adopt() error { return nil }

func killAdopted() error { return nil }

// Orphans belong to init there.
func reap(int) bool { return true }
