package peer

import (
	"fmt"
	"net"
	"syscall"
)

// Of asks the kernel for the process at the other end of a connection.
func Of(c net.Conn) (Credentials, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Credentials{}, fmt.Errorf("a connection of the kind %T has no peer", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Credentials{}, err
	}
	var found *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		found, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return Credentials{}, err
	}
	if failed != nil {
		return Credentials{}, failed
	}
	return Credentials{UID: int(found.Uid), PID: int(found.Pid)}, nil
}
