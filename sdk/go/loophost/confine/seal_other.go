//go:build unix && !linux

package confine

import "syscall"

// Seal removes the named variables, which are secrets, from this process's environment, and switches core dumps off.
// Outside Linux a process cannot protect itself further from its user. Seal returns the values by name, as on Linux.
func Seal(secrets ...string) (map[string][]byte, error) {
	return take(secrets), syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
