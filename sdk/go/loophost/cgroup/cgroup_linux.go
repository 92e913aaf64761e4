package cgroup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Tree is the part of the tree of control groups that belongs to this host.
type Tree struct {
	folder      string
	controllers []string
	made        atomic.Uint64
}

// ownGroup is the group of the host itself: the kernel sets no limits below a group that has processes itself.
const ownGroup = "host"

// Delegated takes over the part of the tree in which this process runs, if this process may divide it: systemd marks it
// so (Delegate=yes), or it is all that a container has. The process moves into a group of its own there. Delegated
// returns nil if there is no such part.
func Delegated() (*Tree, error) {
	folder := own()
	if folder == "" || !delegated(folder) {
		return nil, nil
	}
	t := &Tree{folder: folder}
	host := filepath.Join(folder, ownGroup)
	if err := os.Mkdir(host, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	if err := write(host, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
		return nil, fmt.Errorf("moving into a control group of its own: %w", err)
	}
	for _, controller := range []string{"memory", "pids"} {
		// It fails for a controller that was not delegated, and for every one while other processes run in this part.
		if write(folder, "cgroup.subtree_control", "+"+controller) == nil {
			t.controllers = append(t.controllers, controller)
		}
	}
	if err := t.try(); err != nil {
		return nil, fmt.Errorf("trying a control group with a process: %w", err)
	}
	return t, nil
}

// try starts a process in a group, which needs the system call clone3: filters of system calls may refuse it, and
// kernels before Linux 5.7 cannot start a process in a group. The process finds no program and ends.
func (t *Tree) try() error {
	g, err := t.New("try", Limits{})
	if err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{}
	g.Take(attributes)
	_, err = syscall.ForkExec(filepath.Join(g.folder, "none"), nil, &syscall.ProcAttr{Sys: attributes})
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	return errors.Join(err, g.Close())
}

// own is the folder of the group in which this process runs; empty if it cannot be seen.
func own() string {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(groups)) {
		if path, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); found {
			return folderOf(path, string(mounts))
		}
	}
	return ""
}

// folderOf is the folder of a group by the mounts of a process, in the form of proc_pid_mountinfo(5).
func folderOf(group, mounts string) string {
	if strings.HasPrefix(group, "/..") {
		return "" // above what the process may see
	}
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !strings.HasPrefix(after, "cgroup2 ") || len(fields) < 5 {
			continue
		}
		root, at := fields[3], fields[4]
		below, err := filepath.Rel(root, group)
		if err == nil && below != ".." && !strings.HasPrefix(below, "../") {
			return filepath.Join(at, below)
		}
	}
	return ""
}

// delegated reports whether this process may divide a group. To be allowed to write there is not enough: systemd marks
// the groups that it leaves to others.
func delegated(folder string) bool {
	if _, err := os.Stat(filepath.Join(folder, "cgroup.type")); err != nil {
		return false // the root group, which has no such file, or not a group
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		if unix.Access(filepath.Join(folder, name), unix.W_OK) != nil {
			return false
		}
	}
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 1)
		if n, err := unix.Getxattr(folder, name, value); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return !isGroup(filepath.Dir(folder)) // all that a container has
}

// isGroup reports whether a folder is a group.
func isGroup(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "cgroup.procs"))
	return err == nil
}

// Controllers are the controllers that bound groups here: "memory", "pids".
func (t *Tree) Controllers() []string {
	if t == nil {
		return nil
	}
	return t.controllers
}

// Group is one group.
type Group struct {
	folder string
	open   *os.File
}

// New makes a group below this part of the tree. It returns nil if t is nil.
func (t *Tree) New(name string, l Limits) (*Group, error) {
	if t == nil {
		return nil, nil
	}
	g := &Group{}
	err := os.ErrExist
	for errors.Is(err, os.ErrExist) { // an earlier host with this id, as in containers, may have left groups behind
		// Another host may divide the same part.
		own := fmt.Sprintf("%s-%d-%d", strings.ReplaceAll(name, "/", "_"), os.Getpid(), t.made.Add(1))
		g.folder = filepath.Join(t.folder, own)
		err = os.Mkdir(g.folder, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	err = t.bound(g.folder, l)
	if err == nil {
		g.open, err = os.Open(g.folder)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// bound writes limits, as far as their controllers are there.
func (t *Tree) bound(folder string, l Limits) error {
	for _, controller := range t.controllers {
		var err error
		switch {
		case controller == "memory" && l.Memory > 0:
			err = write(folder, "memory.max", strconv.FormatUint(l.Memory, 10))
			_ = write(folder, "memory.swap.max", "0")  // not there without swap
			_ = write(folder, "memory.oom.group", "1") // Linux 4.19
		case controller == "pids" && l.Processes > 0:
			err = write(folder, "pids.max", strconv.FormatUint(l.Processes, 10))
		}
		if err != nil {
			return fmt.Errorf("bounding a control group: %w", err)
		}
	}
	return nil
}

// Take makes a process start in the group.
func (g *Group) Take(attributes *syscall.SysProcAttr) {
	if g != nil {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(g.open.Fd())
	}
}

// emptied is how long processes that were killed may take to end.
const emptied = time.Second

// Kill ends everything that runs in the group, and returns when it has ended, or after a second. It needs Linux 5.14.
func (g *Group) Kill() {
	if g == nil || write(g.folder, "cgroup.kill", "1") != nil {
		return
	}
	events, err := os.Open(filepath.Join(g.folder, "cgroup.events"))
	if err != nil {
		return
	}
	defer func() { _ = events.Close() }() // it was only read
	for until := time.Now().Add(emptied); ; {
		text := make([]byte, 256)
		n, err := events.ReadAt(text, 0)
		if n == 0 && err != nil || bytes.Contains(text[:n], []byte("populated 0")) {
			return
		}
		left := time.Until(until)
		if left <= 0 {
			return
		}
		// An interrupted wait only looks again sooner.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
	}
}

// OutOfMemory reports whether the kernel has killed processes of the group because of its memory limit.
func (g *Group) OutOfMemory() bool {
	if g == nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(g.folder, "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if times, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
			return times != "0"
		}
	}
	return false
}

// Close removes the group, in which nothing may run any more.
func (g *Group) Close() error {
	if g == nil {
		return nil
	}
	var err error
	if g.open != nil {
		err = g.open.Close()
	}
	return cmp.Or(err, unix.Rmdir(g.folder))
}

// write writes to an existing file of a group.
func write(folder, name, text string) error {
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
