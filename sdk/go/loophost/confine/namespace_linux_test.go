package confine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

const ordinary = 10001 // a user of no name

// asOrdinary runs this test once more as a user without privileges, if it is root's now.
func asOrdinary(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ordinary") // a test's own folder is root's alone
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "test")
	if err := executable.Write(name, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("as user %d: %v\n%s", ordinary, err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Logf("as user %d it is left out:\n%s", ordinary, out)
	case !strings.Contains(string(out), "--- PASS"):
		t.Errorf("as user %d it does not run:\n%s", ordinary, out)
	}
}

// needNamespaces skips where this machine lets nobody have them.
func needNamespaces(t *testing.T) {
	t.Helper()
	c, err := confine.New(confine.Needs{Level: confine.Namespace})
	if err != nil {
		t.Skip(err)
	}
	c.Close()
}

// A process in namespaces sees itself, no network that it was not given and nothing of the host's, and bears its user's
// numbers; what it leaves behind ends with it.
func TestNamespaces(t *testing.T) {
	asOrdinary(t)
	needNamespaces(t)
	dir := t.TempDir()
	kept := write(t, filepath.Join(dir, "node", "loop.db"), "secret")
	config := write(t, filepath.Join(dir, "node.toml"), "secret")
	other := write(t, filepath.Join(dir, "other"), "other")
	searchable(t, filepath.Dir(kept)) // the folder's mode is not what keeps a plugin with a user of its own out
	beside := func(n confine.Needs) confine.Needs {
		n.Level, n.Keep, n.Read = confine.Namespace, []string{filepath.Dir(kept), config}, []string{dir, "/proc"}
		return n
	}
	nowhere, somewhere := beside(confine.Needs{Connect: []uint16{}}), beside(confine.Needs{})
	for _, test := range []struct {
		name, does, want string
		needs            confine.Needs
	}{
		{"itself", "echo $$", "1", nowhere},
		{"processes", "echo /proc/[0-9]*", "/proc/1", nowhere},
		{"the host's folder", "ls " + filepath.Dir(kept) + " 2>/dev/null || echo refused", "refused", nowhere},
		{"the host's file", "cat " + config + " 2>/dev/null | wc -c", "0", nowhere},
		{"another file", "cat " + other, "other", nowhere},
		{"no network", "grep : /proc/net/dev | tr -d ' ' | cut -d : -f 1", "lo", nowhere},
		{"privileges", "grep -h -e CapPrm -e CapEff -e NoNewPrivs /proc/self/status | tr -d '\t'",
			"CapPrm:0000000000000000\nCapEff:0000000000000000\nNoNewPrivs:1", nowhere},
		{"processes that it may have", "grep processes /proc/self/limits | tr -s ' ' | cut -d ' ' -f 3,4", "1024 1024",
			nowhere},
		{"its own folder", "echo mine > $FOLDER/x && cat $TMPDIR/../x", "mine", nowhere},
		{"a network", "readlink /proc/self/ns/net", network(t), somewhere},
	} {
		t.Run(test.name, func(t *testing.T) {
			have, err := confined(t, test.needs, nil, test.does, "/bin/sh")
			if diff := cmp.Diff(test.want, have); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
	t.Run("what it leaves behind", func(t *testing.T) {
		leaves := "setsid sleep 4711 < /dev/null > /dev/null 2>&1 & echo left"
		if have, err := confined(t, somewhere, nil, leaves, "/bin/sh"); have != "left" || err != nil {
			t.Fatal(have, err)
		}
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			if text, _ := os.ReadFile(path); string(text) == "sleep\x004711\x00" { // it may have ended
				t.Errorf("%s lives on", path)
			}
		}
	})
}

// network is that of this process.
func network(t *testing.T) string {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return name
}
