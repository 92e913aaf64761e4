package confine_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// TestMain is also the main of a process that seals itself.
func TestMain(m *testing.M) {
	if os.Getenv("SEAL") != "" {
		beSealed()
		return
	}
	os.Exit(m.Run())
}

// beSealed seals this process and says what of it is left to be read.
func beSealed() {
	environment := readSelf("environ") // as the kernel shows it to whoever may look
	if err := confine.Seal("FIRST", "SECOND", "ABSENT"); err != nil {
		fmt.Println(err)
	}
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	fmt.Println("dumpable", dumpable, "core", core.Max, "first", os.Getenv("FIRST"), "second", os.Getenv("SECOND"), "other", os.Getenv("OTHER"))
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
	want := `dumpable 0 core 0 first  second  other third is none SECOND=x
lengths equal true
first secret true false
second secret true false
third is none true true
`
	if got := strings.TrimLeft(string(out), " "); got != want {
		t.Errorf("have\n%s\nwant\n%s", got, want)
	}
}
