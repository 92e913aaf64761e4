package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

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
	t, err := Delegated()
	if t == nil {
		return fmt.Errorf("nothing is delegated: %w", err)
	}
	fmt.Println("the host runs in", filepath.Base(own()))
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
	left := func() int {
		text, _ := os.ReadFile(filepath.Join(g.folder, "cgroup.procs")) // what cannot be read has nothing
		return len(bytes.Fields(text))
	}
	before := left()
	g.Kill()
	fmt.Println(before, "then", left(), "out of memory:", g.OutOfMemory())
	return g.Close()
}

// A host that was left a part of the tree moves aside in it, and what it starts in a group ends with the group,
// whatever became of its parents and its session. Nobody takes a part that was not left.
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
	divided := func(user uint32) string {
		t.Helper()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "CGROUP_HOST=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd()),
			Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, _ := cmd.CombinedOutput() // what it says tells more
		_ = os.Remove(filepath.Join(part, ownGroup))
		return strings.TrimSpace(string(out))
	}
	for _, user := range []uint32{0, host} {
		if said := divided(user); !strings.HasPrefix(said, "nothing is delegated") {
			t.Errorf("without delegation user %d says %q", user, said)
		}
	}
	for user, mark := range map[uint32]string{0: "trusted.delegate", host: "user.delegate"} {
		if err := unix.Setxattr(part, mark, []byte("1"), 0); err != nil {
			t.Skip(err)
		}
		const want = "the host runs in host\na_plugin\n1 then 0 out of memory: false"
		if diff := cmp.Diff(want, divided(user)); diff != "" {
			t.Errorf("user %d:\n%s", user, diff)
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
