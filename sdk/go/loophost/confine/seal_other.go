//go:build unix && !linux

package confine

import (
	"os"
	"syscall"
)

// Seal takes the variables named, which are this process's secrets, out of its environment, and switches core dumps
// off: outside Linux a process can do no more about others of its user.
func Seal(secrets ...string) error {
	for _, name := range secrets {
		_ = os.Unsetenv(name) // it fails for names alone that no variable has
	}
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
