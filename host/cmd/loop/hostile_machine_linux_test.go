package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func onProcesses() []attempt {
	return []attempt{
		{"signal the node", func(t target) error { return unix.Kill(t.Host, 0) }},
		{"signal the node by a descriptor (pidfd_send_signal)", func(t target) error {
			p, err := unix.PidfdOpen(t.Host, 0)
			if err != nil {
				return err
			}
			defer unix.Close(p)
			return unix.PidfdSendSignal(p, 0, nil, 0)
		}},
		{"signal another plugin", func(t target) error { return unix.Kill(t.Victim, 0) }},
		{"signal another plugin's group", func(t target) error { return unix.Kill(-t.Victim, 0) }},
		{"have the node end first when memory runs out (oom_score_adj)", func(t target) error {
			return os.WriteFile(proc(t.Host, "oom_score_adj"), []byte("900"), 0)
		}},
		{"change the node's limits (prlimit)", func(t target) error {
			var old unix.Rlimit
			if err := unix.Prlimit(t.Host, unix.RLIMIT_NOFILE, nil, &old); err != nil {
				return err
			}
			return unix.Prlimit(t.Host, unix.RLIMIT_NOFILE, &old, nil)
		}},
		{"change the node's priority", func(t target) error {
			nice, err := unix.Getpriority(unix.PRIO_PROCESS, t.Host)
			if err != nil {
				return err
			}
			return unix.Setpriority(unix.PRIO_PROCESS, t.Host, 20-nice)
		}},
		{"bind the node to a processor", func(t target) error {
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(t.Host, &set); err != nil {
				return err
			}
			return unix.SchedSetaffinity(t.Host, &set)
		}},
		{"change how the node is scheduled", func(t target) error {
			_, _, e := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(t.Host), 0, uintptr(unsafe.Pointer(new(int32))))
			return whenRefused(e)
		}},
		{"change how the node's disk accesses rank", func(t target) error {
			const ofProcess, best = 1, 2 << 13
			_, _, e := unix.Syscall(unix.SYS_IOPRIO_SET, ofProcess, uintptr(t.Host), best)
			return whenRefused(e)
		}},
		{"move the node's memory (move_pages)", func(t target) error {
			_, _, e := unix.Syscall6(unix.SYS_MOVE_PAGES, uintptr(t.Host), 0, 0, 0, 0, 0)
			return whenRefused(e)
		}},
		{"list the machine's processes", func(target) error { _, err := os.ReadDir("/proc"); return err }},
		{"have a process leave its session, its environment and its parents",
			func(target) error { return asOrphan("HOSTILE_STAYS=1") }},
		{"have 5,000 descriptors open", func(target) error {
			var all []int
			defer func() {
				for _, fd := range all {
					_ = unix.Close(fd)
				}
			}()
			for range 5000 {
				fd, err := unix.Dup(0)
				if err != nil {
					return err
				}
				all = append(all, fd)
			}
			return nil
		}},
		{"raise its limit of descriptors", func(target) error {
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 19, Max: 1 << 19})
		}},
		{"have 2,000 processes", func(target) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			// A program of Go that can have no thread any more ends, and this one has attempts left.
			forking := exec.Command(self)
			forking.Env = []string{"HOSTILE_FORKS=1"}
			out, err := forking.Output()
			if err == nil && len(out) > 0 {
				return errors.New(string(out))
			}
			return err
		}},
	}
}

// fork makes processes, says what keeps it from more, and ends them.
func fork() {
	var all []uintptr
	for range 2000 {
		pid, err := forkPaused()
		if err != 0 {
			fmt.Print(err)
			break
		}
		all = append(all, pid)
	}
	for _, pid := range all {
		_ = unix.Kill(int(pid), unix.SIGKILL)
		_, _ = unix.Wait4(int(pid), nil, 0, nil)
	}
}

// forkPaused makes a child that does nothing.
//
//go:nosplit
func forkPaused() (uintptr, syscall.Errno) {
	pid, _, err := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	for err == 0 && pid == 0 {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return pid, err
}

// whenRefused tells a call that is refused from one whose arguments were not liked.
func whenRefused(e syscall.Errno) error {
	if e == unix.EPERM || e == unix.EACCES || e == unix.ENOSYS {
		return e
	}
	return nil
}

func onMachine() []attempt {
	call := func(number uintptr, arguments ...uintptr) func(target) error {
		return func(target) error {
			var a [3]uintptr
			copy(a[:], arguments)
			_, _, e := unix.Syscall(number, a[0], a[1], a[2])
			return whenRefused(e)
		}
	}
	return []attempt{
		{"hold a capability", func(target) error {
			header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
			if err := unix.Capget(&header, &data[0]); err != nil {
				return err
			}
			if data[0].Effective|data[1].Effective == 0 {
				return unix.EPERM
			}
			return nil
		}},
		{"run a program of another user's privileges (setuid)", func(target) error {
			n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
			if err == nil && n == 1 {
				return unix.EPERM
			}
			return err
		}},
		{"make a user namespace", func(target) error {
			cmd := exec.Command("/bin/true")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
			return cmd.Run()
		}},
		{"make a user namespace by clone3", func(target) error {
			arguments := [11]uint64{unix.CLONE_NEWUSER, 4: uint64(syscall.SIGCHLD)}
			pid, _, e := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&arguments)), unsafe.Sizeof(arguments), 0)
			for e == 0 && pid == 0 {
				_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
			}
			if e != 0 {
				return e
			}
			_, err := unix.Wait4(int(pid), nil, 0, nil)
			return err
		}},
		{"make a namespace of mounts (unshare)", call(unix.SYS_UNSHARE, unix.CLONE_NEWNS)},
		{"mount something", call(unix.SYS_MOUNT)},
		{"change its root folder (chroot)", func(target) error { return unix.Chroot("/") }},
		{"set the clock", func(target) error {
			var now unix.Timeval
			if err := unix.Gettimeofday(&now); err != nil {
				return err
			}
			return unix.Settimeofday(&now)
		}},
		{"share memory with others of its user (SysV)", func(target) error {
			_, err := unix.SysvShmGet(0x1007, 4096, unix.IPC_CREAT|0o600)
			return err
		}},
		{"send messages to others of its user (SysV)", call(unix.SYS_MSGGET, 0x1008, unix.IPC_CREAT|0o600)},
		{"load programs into the kernel (bpf)", call(unix.SYS_BPF, 999)},
		{"load a module into the kernel", call(unix.SYS_FINIT_MODULE, ^uintptr(0))},
		{"handle the kernel's page faults (userfaultfd)", call(unix.SYS_USERFAULTFD, ^uintptr(0))},
		{"watch the processor (perf_event_open)", call(unix.SYS_PERF_EVENT_OPEN)},
		{"use io_uring", call(unix.SYS_IO_URING_SETUP)},
		{"use the user's keyring", call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(3))},
		{"leave a core dump", func(target) error {
			var core unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
				return err
			}
			if core.Max == 0 {
				return unix.EPERM
			}
			return nil
		}},
		{"run a shell", func(target) error { return exec.Command("/bin/sh", "-c", "true").Run() }},
	}
}
