package process

import "syscall"

// attributes put the process into a group of its own and end it with the host's thread.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
