//go:build unix && !linux

package process

import "syscall"

// attributes put the process into a session, and with it a group, of its own. Without Linux's parent-death signal only
// the end of stdin tells it that the host is gone.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
