package stage

import (
	"syscall"
	"unsafe"
)

// hostEnded reports whether the host has closed its end of the pipe for failures. If the host ends later, the kernel
// kills this process. The parent would not tell, since a process in its own namespace does not see it.
func hostEnded(pipe int) bool {
	asked := struct {
		descriptor     int32
		events, revent int16
	}{descriptor: int32(pipe)}
	var now syscall.Timespec
	const broken = 0x8 // POLLERR
	_, _, e := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&asked)), 1, uintptr(unsafe.Pointer(&now)),
		0, 0, 0)
	return e == 0 && asked.revent&broken != 0
}

// alone gives the only user and group of a namespace of users the numbers that they have outside of it.
func alone(user, group string) error {
	for _, file := range []struct{ path, text string }{
		{"/proc/self/setgroups", "deny"},
		{"/proc/self/uid_map", user + " " + user + " 1"},
		{"/proc/self/gid_map", group + " " + group + " 1"},
	} {
		if err := put(file.path, file.text); err != nil {
			return err
		}
	}
	return nil
}

// unshared keeps later mounts from the processes that share the present ones.
func unshared() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") }

const harmless = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC

// processes shows the processes of this namespace, and no others.
func processes() error { return syscall.Mount("proc", "/proc", "proc", harmless, "") }

// hide puts something empty over a file or a folder. What the stage cannot reach the plugin cannot reach either.
func hide(path string) error {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	switch {
	case err != nil:
		return nil
	case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return syscall.Mount("tmpfs", path, "tmpfs", harmless|syscall.MS_RDONLY, "size=4k,mode=000")
	}
	return syscall.Mount("/dev/null", path, "", syscall.MS_BIND, "")
}
