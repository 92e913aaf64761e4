//go:build unix && !linux

package process

// TellsMemory is whether this machine says how much memory a process takes. Only Linux does, in /proc.
func TellsMemory() bool { return false }

// resident is not told outside Linux.
func resident(int) uint64 { return 0 }
