//go:build race

package frames

import "syscall"

// untold tells the scheduler after all: package syscall tells the race detector too, which takes what is written before
// a write and read behind the read of it for a race otherwise.
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
