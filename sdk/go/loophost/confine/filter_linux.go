//go:build amd64 || arm64

package confine

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// refused are calls that no plugin needs, and by which a process reaches others of its user or little-tested parts of
// the kernel.
var refused = []int{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
	unix.SYS_PROCESS_MRELEASE, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_PERF_EVENT_OPEN, unix.SYS_IO_URING_SETUP,
	unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT,
	unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT,
	unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_KEXEC_LOAD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT, unix.SYS_SWAPON,
	unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_FANOTIFY_INIT, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX,
	unix.SYS_CLOCK_ADJTIME, unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN,
	unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_IOPRIO_SET,
}

// onItself are calls whose first argument names a process, and may only be 0, the caller.
var onItself = []int{
	unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM,
	unix.SYS_SCHED_SETATTR,
}

// modes are calls that change modes, owners, marks and times, by path, of files that Landlock keeps from being opened.
// They do nothing and report success: programs that copy files would take an error of theirs for a failed copy. Those
// by descriptor need an open file and stay allowed.
var modes = append([]int{
	unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWNAT, unix.SYS_SETXATTR, unix.SYS_LSETXATTR,
	unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_SETXATTRAT, unix.SYS_REMOVEXATTRAT,
}, oldModes...)

// newNamespaces are the flags of clone(2) that make a namespace.
const newNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// filter is a filter of system calls. Until it has found the call, the loaded value is the call's number.
type filter []unix.SockFilter

const (
	load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	anyOf   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	answer  = unix.BPF_RET | unix.BPF_K
)

func fails(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

var passes = unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW}

// argument loads the lower half of an argument: of those that are looked at, the kernel uses no more.
func argument(n uint32) unix.SockFilter { return unix.SockFilter{Code: load, K: 16 + 8*n} }

// on sends a call through a body, which must end with an answer.
func (f *filter) on(call int, body ...unix.SockFilter) {
	*f = append(*f, unix.SockFilter{Code: equal, K: uint32(call), Jf: uint8(len(body))})
	*f = append(*f, body...)
}

// filterOf is the filter, as the kernel takes it. A plugin with the host's user may change no modes by path.
func filterOf(ownUser bool) []byte {
	f := filter{
		{Code: load, K: 4}, {Code: equal, K: architecture, Jt: 1}, {Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: 0}, {Code: atLeast, K: 0x40000000, Jf: 1}, fails(unix.ENOSYS), // x32, which has other numbers
	}
	for _, call := range refused {
		f.on(call, fails(unix.EPERM))
	}
	for _, call := range onItself {
		f.on(call, argument(0), unix.SockFilter{Code: equal, K: 0, Jf: 1}, passes, fails(unix.EPERM))
	}
	f.on(unix.SYS_SETPRIORITY, argument(0), unix.SockFilter{Code: equal, K: unix.PRIO_PROCESS, Jf: 3},
		argument(1), unix.SockFilter{Code: equal, K: 0, Jf: 1}, passes, fails(unix.EPERM))
	if !ownUser {
		for _, call := range modes {
			f.on(call, fails(0))
		}
		// Without a path it sets the times of an open file.
		f.on(unix.SYS_UTIMENSAT, argument(1), unix.SockFilter{Code: equal, K: 0, Jf: 2},
			unix.SockFilter{Code: load, K: 16 + 8*1 + 4}, unix.SockFilter{Code: equal, K: 0, Jt: 1}, fails(0), passes)
	}
	f.on(unix.SYS_CLONE3, fails(unix.ENOSYS)) // its flags cannot be looked at, and callers then use clone
	f.on(unix.SYS_CLONE, argument(0), unix.SockFilter{Code: anyOf, K: newNamespaces, Jf: 1}, fails(unix.EPERM), passes)
	// Landlock's rules for ports hold for TCP, and not for protocols that may fall back to TCP.
	f.on(unix.SYS_SOCKET, argument(2), unix.SockFilter{Code: equal, K: unix.IPPROTO_MPTCP, Jf: 1},
		fails(unix.EPROTONOSUPPORT), argument(0),
		unix.SockFilter{Code: equal, K: unix.AF_UNIX, Jt: 3}, unix.SockFilter{Code: equal, K: unix.AF_INET, Jt: 2},
		unix.SockFilter{Code: equal, K: unix.AF_INET6, Jt: 1}, unix.SockFilter{Code: equal, K: unix.AF_NETLINK, Jf: 1},
		passes, fails(unix.EAFNOSUPPORT))
	for call, flags := range map[int]uint32{unix.SYS_SENDTO: 3, unix.SYS_SENDMSG: 2, unix.SYS_SENDMMSG: 3} {
		f.on(call, argument(flags), unix.SockFilter{Code: anyOf, K: unix.MSG_FASTOPEN, Jf: 1}, fails(unix.EOPNOTSUPP), passes)
	}
	var b []byte
	for _, i := range append(slices.Clip(f), passes) {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}
