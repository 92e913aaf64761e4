package process

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// put writes a program by a rename. If a process were forked while it is open for writing, it could not be started.
func put(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := executable.Write(path+".new", content, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What was checked is what starts, although the files are replaced in between: a binary, a script, and an interpreter
// with a script whose folder it looks into.
func TestStartsWhatWasChecked(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	for name, c := range map[string]struct {
		command  func(dir string) []string
		old, new []byte
		script   bool
	}{
		"a binary": {func(dir string) []string { return []string{filepath.Join(dir, "program"), "-c", "echo old"} },
			read(t, shell), []byte("#!/bin/sh\necho new\n"), false},
		"a script": {func(dir string) []string { return []string{filepath.Join(dir, "program")} },
			[]byte("#!/bin/sh\necho old\n"), []byte("#!/bin/sh\necho new\n"), false},
		"an interpreter": {func(dir string) []string { return []string{"sh", "-e", filepath.Join(dir, "program"), "more"} },
			[]byte("echo old\n"), []byte("echo new\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path, command := filepath.Join(dir, "program"), c.command(dir)
			want := []string{put(t, path, c.old)}
			if c.script {
				sum := sha256.Sum256(read(t, shell))
				want = append([]string{hex.EncodeToString(sum[:])}, want...)
			}
			p, err := openProgram(command)
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			sums := &Checksums{}
			if err := p.check(sums, want); err != nil {
				t.Fatal(err)
			}
			if err := p.check(sums, append(want, want[0])); err == nil ||
				!strings.Contains(err.Error(), "pin as many, in this order") {
				t.Errorf("a checksum too many: %v", err)
			}
			last := len(want) - 1
			other := put(t, path, c.new)
			wrong := append([]string{}, want...)
			wrong[last] = other
			if err := p.check(sums, wrong); err == nil ||
				!strings.Contains(err.Error(), path+" has the SHA-256 checksum "+want[last]+" and is pinned to "+other) {
				t.Errorf("another program's checksum: %v", err)
			}
			cmd := &exec.Cmd{Path: p.path, Args: command}
			if err := p.startFrom(cmd); err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "linux" {
				if err := p.unchanged(); err == nil {
					t.Error("that the file was replaced is not seen")
				}
				return
			}
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "old\n" {
				t.Errorf("it said %q, %v", out, err)
			}
		})
	}
}

// A file is read once, and again when anything about it changed.
func TestChecksumsAreRemembered(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("files are read at each start here")
	}
	open := func(path string) *os.File {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	c := &Checksums{}
	expect := func(what string, f *os.File, want string) {
		t.Helper()
		if got, err := c.of(f); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", what, got, err, want)
		}
	}
	sumOf := func(content string) string {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:])
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	expect("a file of the system's", open(shell), sumOf(string(read(t, shell))))
	if len(c.known) != 1 {
		t.Errorf("%d checksums are remembered", len(c.known))
	}
	path := filepath.Join(t.TempDir(), "program")
	put(t, path, []byte("one"))
	f := open(path)
	remember := func() {
		id, _, ok := identify(f)
		if !ok {
			t.Fatal("Linux tells files apart")
		}
		if c.known[id] != "" {
			t.Error("a file that has just changed is remembered: it may change again unseen")
		}
		c.known[id] = "remembered" // as if it had settled
		expect("a file that has not changed", f, "remembered")
	}
	expect("a new file", f, sumOf("one"))
	remember()
	if err := os.WriteFile(path, []byte("two"), 0o700); err != nil { // the same inode and size
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	expect("a file that was written to", f, sumOf("two"))
	remember()
	if err := os.Truncate(path, 1); err != nil {
		t.Fatal(err)
	}
	expect("a file that was cut", f, sumOf("t"))
	put(t, path, []byte("one"))
	expect("another file at its place", open(path), sumOf("one"))
}
