//go:build unix && !linux

package confine

import "syscall"

// Seal takes the variables named, which are this process's secrets, out of its environment, and switches core dumps
// off: outside Linux a process can do no more about others of its user. It returns the values by name, see Linux's.
func Seal(secrets ...string) (map[string][]byte, error) {
	return take(secrets), syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
