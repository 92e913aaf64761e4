package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMain is the host of TestDelegated too.
func TestMain(m *testing.M) {
	if os.Getenv("CGROUP_HOST") != "" {
		if err := divide(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// divide starts a process in a group, which starts another and ends, and kills what is in the group.
func divide() error {
	if os.Getenv("CGROUP_HOST") == filtered {
		runtime.LockOSThread() // the filter is this thread's
		if err := refuseClone3(); err != nil {
			return err
		}
	}
	t, err := Delegated()
	if t == nil {
		return fmt.Errorf("nothing is delegated: %w", err)
	}
	fmt.Println("the host runs in", filepath.Base(own()))
	left := filepath.Join(t.folder, fmt.Sprintf("a_plugin-%d-2", os.Getpid())) // by a host before with this id
	if err := os.Mkdir(left, 0o755); err != nil {
		return err
	}
	defer os.Remove(left)
	g, err := t.New("a/plugin", Limits{Memory: 64 << 20, Processes: 16})
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", "setsid /bin/sh -c 'grep ^0 /proc/self/cgroup | sed s/-[0-9]*-[0-9]*$//"+
		"; exec sleep 1000 >&- 2>&-' & exit 0")
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	g.Take(cmd.SysProcAttr)
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimSpace(string(out[bytes.LastIndexByte(out, '/')+1:])))
	running := func() int {
		text, _ := os.ReadFile(filepath.Join(g.folder, "cgroup.procs")) // what cannot be read has nothing
		return len(bytes.Fields(text))
	}
	before := running()
	g.Kill()
	fmt.Println(before, "then", running(), "out of memory:", g.OutOfMemory())
	return g.Close()
}

// filtered names the host whose clone3 a filter of system calls refuses, as older filters of containers do.
const filtered = "filtered"

func refuseClone3() error {
	f := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE3, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := &unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(program)), 0, 0)
}

// A host to which a part of the tree is delegated moves aside in it, and what it starts in a group ends with the group,
// whatever became of its parents and its session. Nobody takes a part that is not delegated, or in which nothing can be
// started or made.
func TestDelegated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone delegates")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	top := folderOf("/", string(mounts))
	part := filepath.Join(top, "loop-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(part, 0o755); err != nil || top == "" {
		t.Skipf("this machine lets nobody make control groups: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(part); err != nil {
			t.Error(err)
		}
	})
	const host = 10001 // a user of no name
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(part, name), host, host); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.Open(part)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	divided := func(user uint32, how string) string {
		t.Helper()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "CGROUP_HOST="+how)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd()),
			Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, _ := cmd.CombinedOutput() // what it says tells more
		_ = os.Remove(filepath.Join(part, ownGroup))
		return strings.TrimSpace(string(out))
	}
	for _, user := range []uint32{0, host} {
		if said := divided(user, "plain"); !strings.HasPrefix(said, "nothing is delegated") {
			t.Errorf("without delegation user %d says %q", user, said)
		}
	}
	for user, mark := range map[uint32]string{0: "trusted.delegate", host: "user.delegate"} {
		if err := unix.Setxattr(part, mark, []byte("1"), 0); err != nil {
			t.Skip(err)
		}
		const want = "the host runs in host\na_plugin\n1 then 0 out of memory: false"
		if diff := cmp.Diff(want, divided(user, "plain")); diff != "" {
			t.Errorf("user %d:\n%s", user, diff)
		}
		const useless = "nothing is delegated: trying a control group with a process: "
		if said := divided(user, filtered); said != useless+"operation not permitted" {
			t.Errorf("with a filter user %d says %q", user, said)
		}
		most := filepath.Join(part, "cgroup.max.descendants")
		if err := os.WriteFile(most, []byte("1"), 0); err != nil { // the host's own
			t.Fatal(err)
		}
		if said := divided(user, "plain"); !strings.HasPrefix(said, useless+"making a control group") {
			t.Errorf("where no group can be made user %d says %q", user, said)
		}
		if err := os.WriteFile(most, []byte("max"), 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Removexattr(part, mark); err != nil {
			t.Fatal(err)
		}
	}
}

// A group lies where the kernel's list of mounts says, also where a container sees a part of the tree alone.
func TestFolderOf(t *testing.T) {
	const (
		whole = "26 24 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		part  = "26 24 0:23 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
		old   = "30 24 0:24 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	)
	for _, test := range []struct{ group, mounts, want string }{
		{"/system.slice/loop.service", old + whole, "/sys/fs/cgroup/system.slice/loop.service"},
		{"/docker/1", part, "/sys/fs/cgroup"},
		{"/docker/1/sub", part, "/sys/fs/cgroup/sub"},
		{"/docker/12", part, ""},
		{"/../other", whole, ""},
		{"/", old, ""},
		{"/", whole, "/sys/fs/cgroup"},
	} {
		if have := folderOf(test.group, test.mounts); have != test.want {
			t.Errorf("%s lies at %q and not at %q", test.group, have, test.want)
		}
	}
}
