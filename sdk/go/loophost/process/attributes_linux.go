package process

import "syscall"

// attributes put the process into a session, and with it a group, of its own and end it with the host's thread. Within
// one session the processes of one plugin could enter another's group, and would count as the other's.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
