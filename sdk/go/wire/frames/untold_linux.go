//go:build !race

package frames

import (
	"syscall"
	"unsafe"
)

// untold reads or writes by a system call of which the scheduler is not told.
func untold(call, descriptor uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, descriptor, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
