package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startIn starts a program in a network namespace: it gets that of the thread which starts it.
func startIn(namespace *os.File, start func() error) error {
	if namespace == nil {
		return start()
	}
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("open this process's network namespace: %w", err)
	}
	defer own.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter its network namespace: %w", err)
	}
	startErr := start()
	if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
		return errors.Join(startErr, fmt.Errorf("leave its network namespace: %w", err))
	}
	return startErr
}

// adopt makes the kernel hand orphans among this process's descendants to it instead of to init. Plugins have process
// groups of their own, so the group of a node that had to be killed does not hold them.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// killAdopted kills and reaps children until there are none: each that dies hands its own on.
func killAdopted() error {
	for {
		children, err := children()
		if err != nil {
			return fmt.Errorf("look for processes that were left behind: %w", err)
		}
		if len(children) == 0 {
			return nil
		}
		for _, pid := range children {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d, which was left behind: %w", pid, err)
			}
			for {
				_, err := syscall.Wait4(pid, nil, 0, nil)
				if !errors.Is(err, syscall.EINTR) {
					break // reaped, or somebody else was faster
				}
			}
		}
	}
}

// reap waits for a child that has ended, and says whether there is nothing more to wait for: it has ended, or is no
// child.
func reap(pid int) bool {
	found, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return found == pid || errors.Is(err, syscall.ECHILD)
}

// children reads the parents of all processes: /proc/<pid>/task/<tid>/children is not in every kernel.
func children() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it ended
		}
		// The name stands in parentheses and may hold anything; behind it come the state and the parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			all = append(all, pid)
		}
	}
	return all, nil
}
