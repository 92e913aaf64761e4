//go:build race

package frames

import "syscall"

// untold tells the scheduler after all, because package syscall tells the race detector too. Otherwise the detector
// would see a race between code before a write to a socket and code after the read of what was written.
func untold(call, descriptor uintptr, b []byte) (int, syscall.Errno) {
	transfer := syscall.Read
	if call == syscall.SYS_WRITE {
		transfer = syscall.Write
	}
	for {
		n, err := transfer(int(descriptor), b)
		switch errno, _ := err.(syscall.Errno); {
		case err == nil:
			return n, 0
		case errno != syscall.EINTR:
			return 0, errno
		}
	}
}
