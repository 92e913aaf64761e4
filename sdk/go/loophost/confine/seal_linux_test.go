package confine_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// TestMain is also the main of a process that seals itself, and of one that is refused some system calls.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("SEAL") != "":
		beSealed()
	case os.Getenv("REFUSES") != "":
		beRefused(os.Getenv("REFUSES"))
	default:
		os.Exit(m.Run())
	}
}

// beRefused loses a system call, as in a container that filters it, and says how it can confine a plugin.
func beRefused(what string) {
	call := map[string]uint32{
		"landlock": unix.SYS_LANDLOCK_CREATE_RULESET, "memfd": unix.SYS_MEMFD_CREATE, "capset": unix.SYS_CAPSET,
		"landlock's last step": unix.SYS_LANDLOCK_RESTRICT_SELF, "descriptors": unix.SYS_MEMFD_CREATE,
		"namespaces": unix.SYS_MOUNT,
	}[what]
	answer := unix.EPERM
	if what == "descriptors" {
		answer = unix.EMFILE
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, {Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(answer)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program))); e != 0 {
		fmt.Println(e)
	}
	if what == "namespaces" {
		_, err := confine.New(confine.Needs{Level: confine.Namespace})
		fmt.Println(err)
		return
	}
	c, err := confine.New(confine.Needs{})
	fmt.Printf("%s: %s\n", c.Level().Told(c.Lacks()), c.Why())
	if err != nil {
		fmt.Println(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "ulimit -c")
	cmd.Stdout = os.Stdout
	folder, err := os.MkdirTemp("", "loop")
	if err != nil {
		fmt.Println(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	started, err := c.Prepare(confine.Launch{Cmd: cmd, Command: cmd.Args, Program: cmd.Path, Folder: folder})
	if err == nil {
		err = errors.Join(cmd.Start(), started(), cmd.Wait())
	}
	if err != nil {
		fmt.Println(err)
	}
}

// beSealed seals this process and says what of it is left to be read.
func beSealed() {
	environment := readSelf("environ") // as the kernel shows it to whoever may look
	before := os.Environ()
	values, err := confine.Seal("FIRST", "SECOND", "ABSENT")
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("values %q\n", values)
	fmt.Printf("before %q\n", before[0])
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	fmt.Println("dumpable", dumpable, "core", core.Max, "first", os.Getenv("FIRST"), "second", os.Getenv("SECOND"),
		"other", os.Getenv("OTHER"))
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // an ordinary user sees nothing otherwise, erased or not
	after := readSelf("environ")
	fmt.Println("lengths equal", len(environment) == len(after))
	for _, secret := range []string{"first secret", "second secret", "third is none"} {
		fmt.Println(secret, bytes.Contains(environment, []byte(secret)), bytes.Contains(after, []byte(secret)))
	}
}

func readSelf(name string) []byte {
	b, err := os.ReadFile("/proc/self/" + name)
	if err != nil {
		fmt.Println(err)
	}
	return b
}

func TestSeal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	// A value may look like another variable.
	cmd.Env = []string{"FIRST=first secret", "OTHER=third is none SECOND=x", "SEAL=1", "SECOND=second secret"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := `values map["FIRST":"first secret" "SECOND":"second secret"]
before "FIRST=` + strings.Repeat(`\x00`, len("first secret")) + `"
dumpable 0 core 0 first  second  other third is none SECOND=x
lengths equal true
first secret true false
second secret true false
third is none true true
`
	if got := strings.TrimLeft(string(out), " "); got != want {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
}
