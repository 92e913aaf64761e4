package process_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loophost/process"
)

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// host starts a host in a process of its own, with a plugin, and returns it with the folder that it made.
func host(t *testing.T, base string) (*exec.Cmd, string) {
	t.Helper()
	before := names(t, base)
	h := exec.CommandContext(t.Context(), os.Args[0])
	h.Env = append(os.Environ(), "FAKE_HOST="+os.Args[0], "FAKE_SOCKETS="+base)
	out, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.Process.Kill()
		_ = h.Wait() // it was killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the host said %q, %v", line, err)
	}
	made := slices.DeleteFunc(names(t, base), func(name string) bool { return slices.Contains(before, name) })
	if len(made) != 1 {
		t.Fatalf("a host made %q", made)
	}
	return h, made[0]
}

// A host sweeps what hosts left behind when they were killed, and nothing else: no folder of a host that lives,
// whatever the id of its process says here, and none that no host has made.
func TestSweep(t *testing.T) {
	t.Parallel()
	base := shortDir(t)
	_, living := host(t, base)
	killed, dead := host(t, base)
	_ = killed.Process.Kill()
	_ = killed.Wait() // it was killed
	mark, err := os.ReadFile(filepath.Join(base, dead, "README"))
	if err != nil {
		t.Fatal(err)
	}
	// Nobody has these ids: they are beyond the kernel's.
	stays := map[string][]byte{
		"loop-4194305-a": nil,                             // somebody else's
		"loop-4194305-b": append([]byte("not "), mark...), // and one with a page of its own
		"loop-x":         mark,
		"other":          mark,
	}
	for name, text := range stays {
		if err := os.MkdirAll(filepath.Join(base, name, "within"), 0o700); err != nil {
			t.Fatal(err)
		}
		if text != nil {
			if err := os.WriteFile(filepath.Join(base, name, "README"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("other", filepath.Join(base, "loop-4194305-c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(base, dead), filepath.Join(base, "loop-4194305-d")); err != nil {
		t.Fatal(err)
	}
	dir, err := newSockets(t, base).Dir()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %o", info.Mode().Perm())
	}
	want := []string{living, filepath.Base(dir), "loop-4194305-a", "loop-4194305-b", "loop-4194305-c", "loop-x", "other"}
	slices.Sort(want)
	if d := cmp.Diff(want, names(t, base)); d != "" {
		t.Errorf("what is left after the sweep (-want +got):\n%s", d)
	}
}

// What cleans the folder away, alone or with the one above it, stops no later process.
func TestSocketsGone(t *testing.T) {
	t.Parallel()
	base := filepath.Join(shortDir(t), "run")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	s := settings(t, &records{})
	s.Sockets = newSockets(t, base)
	first, err := s.Sockets.Dir()
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"", first, base} {
		if gone != "" {
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
		}
		p, err := process.Start(t.Context(), s)
		if err != nil {
			t.Fatalf("without %s: %v", gone, err)
		}
		p.Kill()
	}
	dir, err := s.Sockets.Dir()
	if err != nil || dir == first {
		t.Errorf("the folder is %s, %v; the first was %s", dir, err, first)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"README"}) {
		t.Errorf("processes left %q behind", left)
	}
	s.Sockets.Close()
	if left := names(t, base); len(left) > 0 {
		t.Errorf("the host left %q behind", left)
	}
}

// A plugin starts below a folder of the longest name that is taken.
func TestLongestSocketBase(t *testing.T) {
	t.Parallel()
	short := shortDir(t)
	base := filepath.Join(short, strings.Repeat("x", 59-len(short)))
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	s := settings(t, &records{})
	s.Sockets = newSockets(t, base)
	p, err := process.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
}

func TestSocketBase(t *testing.T) {
	one, other := shortDir(t), shortDir(t)
	for name, test := range map[string]struct{ given, runtime, temporary, want string }{
		"given":                          {one, other, other, one},
		"else the folder for the user":   {"", one, other, one},
		"else that for temporary files":  {"", "", one, one},
		"else the system's for the same": {"", "", "", "/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", test.runtime)
			t.Setenv("TMPDIR", test.temporary)
			dir, err := newSockets(t, test.given).Dir()
			if err != nil || filepath.Dir(dir) != test.want {
				t.Errorf("%s, %v; want one below %s", dir, err, test.want)
			}
		})
	}
	for base, want := range map[string]string{
		strings.Repeat("x", 61): "is 61 bytes long and may be 60, because a unix socket's path is short; name another",
		filepath.Join(one, "none"): "making a folder for sockets below " + one +
			"/none: no such file or directory; name another",
		"/dev/null": "making a folder for sockets below /dev/null: not a directory; name another",
	} {
		if _, err := process.NewSockets(base, "name another"); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// After its host has ended a process is refused: it starts nothing, and makes no folder that nobody would remove.
func TestHostEnded(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the starter", "the sockets"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			base := shortDir(t)
			s := settings(t, &records{})
			s.Sockets = newSockets(t, base)
			if first == "the starter" {
				s.Starter.Close()
			} else {
				s.Sockets.Close()
			}
			if _, err := process.Start(t.Context(), s); err == nil || err.Error() != "plugin fake: the host has ended" {
				t.Errorf("a process that is started late: %v", err)
			}
			s.Sockets.Close()
			if _, err := s.Sockets.Dir(); err == nil || err.Error() != "the host has ended" {
				t.Errorf("its folder for sockets: %v", err)
			}
			if left := names(t, base); len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}
