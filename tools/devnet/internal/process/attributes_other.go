//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"syscall"
)

// Only Linux tells a child of its parent's death: a devnet that is killed elsewhere leaves its nodes behind.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func startIn(namespace *os.File, start func() error) error {
	if namespace != nil {
		return errors.New("there are no network namespaces on this system")
	}
	return start()
}

func adopt() error { return nil }

func killAdopted() error { return nil }

// Only Linux gives orphans to this process: elsewhere they belong to init.
func reap(int) bool { return true }
