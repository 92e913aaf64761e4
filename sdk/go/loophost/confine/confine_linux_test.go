package confine_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// needLandlock skips where the kernel has none.
func needLandlock(t testing.TB) {
	t.Helper()
	if confine.ABI() == 0 {
		t.Skip("this kernel has no Landlock")
	}
}

// confined runs a command, which reads a text, and returns what it prints.
func confined(t testing.TB, n confine.Needs, env []string, text string, command ...string) (string, error) {
	t.Helper()
	n.Command = command
	c, err := confine.New(n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	folder := t.TempDir()
	if c.User() != 0 {
		searchable(t, filepath.Dir(folder))
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: path, Args: command, SysProcAttr: &syscall.SysProcAttr{}}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + c.Temporary(folder), "FOLDER=" + folder}, env...)
	started, err := c.Prepare(confine.Launch{Cmd: cmd, Command: command, Program: path, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &out
	if err := cmd.Start(); err != nil {
		return "", errors.Join(err, started())
	}
	err = errors.Join(started(), cmd.Wait())
	return strings.TrimSpace(out.String()), err
}

// searchable lets every user into a folder of a test's.
func searchable(t testing.TB, folder string) {
	t.Helper()
	for ; folder != os.TempDir(); folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := executable.Write(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A shell does what it is told and says what it was refused.
func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	dir := t.TempDir()
	secret := write(t, filepath.Join(dir, "node", "loop.db"), "secret")
	given := write(t, filepath.Join(dir, "given", "file"), "given")
	other := write(t, filepath.Join(dir, "other"), "other")
	program := write(t, filepath.Join(dir, "program"), "#!/bin/sh\necho executed\n")
	for _, test := range []struct {
		name, does string
		needs      confine.Needs
		want       string
	}{
		{name: "its own folder", does: `echo mine > $FOLDER/x && cat $FOLDER/x`, want: "mine"},
		{name: "temporary files", does: `echo mine > $TMPDIR/x && cat $TMPDIR/x`, want: "mine"},
		{name: "null", does: `echo x > /dev/null && echo written`, want: "written"},
		{name: "a program written and executed", does: `cp /bin/true $FOLDER/x && $FOLDER/x 2>/dev/null || echo refused`,
			want: "refused"},
		{name: "another file", does: `cat ` + other + ` 2>/dev/null || echo refused`, want: "refused"},
		{name: "a file named in the environment", does: `cat $GIVEN`, want: "given"},
		{name: "a folder to read", needs: confine.Needs{Read: []string{dir}}, does: `cat ` + other + `; ` + program,
			want: "otherexecuted"},
		{name: "a folder to write", needs: confine.Needs{Write: []string{dir}},
			does: `echo x >` + dir + `/x && cat ` + dir + `/x`, want: "x"},
		{name: "the modes of files", does: `chmod 777 ` + other + `; stat -c %a ` + other, want: "755"},
		{name: "descriptors", does: `ulimit -n; ulimit -c`, want: "4096\n0"},
		{name: "fewer descriptors", needs: confine.Needs{Descriptors: 64}, does: `ulimit -n`, want: "64"},
		{name: "privileges", does: `grep -h -e CapPrm -e CapEff -e NoNewPrivs /proc/self/status | tr -d '\t'`,
			needs: confine.Needs{Read: []string{"/proc"}},
			want:  "CapPrm:0000000000000000\nCapEff:0000000000000000\nNoNewPrivs:1"},
		{name: "the node's folder", needs: confine.Needs{Keep: []string{filepath.Dir(secret)}},
			does: `cat ` + secret + ` 2>/dev/null || echo refused; cat ` + other + `; ls ` + dir + `/given`,
			want: "refused\notherfile"},
		{name: "limits alone", needs: confine.Needs{Level: confine.Limits}, does: `cat ` + other + `; ulimit -n`,
			want: "other4096"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := []string{"GIVEN=" + given}
			if test.needs.Keep != nil {
				env = append(env, "SECRET=/nowhere:"+dir)
			}
			have, err := confined(t, test.needs, env, test.does, "/bin/sh")
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, have); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What an interpreter loads around its script and in its environment is there, and nothing of the node's that lies in
// between.
func TestInterpreters(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		developed := filepath.Join(dir, "developed")
		environment := filepath.Join(dir, "environment")
		if out, err := exec.Command("python3", "-m", "venv", "--without-pip", environment).CombinedOutput(); err != nil {
			t.Skipf("this machine makes no environments of Python: %v, %s", err, out)
		}
		write(t, filepath.Join(developed, "developed_module.py"), "")
		packages, err := filepath.Glob(filepath.Join(environment, "lib", "python*", "site-packages"))
		if err != nil || len(packages) != 1 {
			t.Fatal(packages, err)
		}
		write(t, filepath.Join(packages[0], "developed.pth"), developed+"\n")
		write(t, filepath.Join(packages[0], "installed_module.py"), "")
		write(t, filepath.Join(dir, "plugin", "beside.py"), "")
		kept := write(t, filepath.Join(dir, "plugin", "node", "loop.db"), "secret")
		script := write(t, filepath.Join(dir, "plugin", "main.py"), `
import beside, developed_module, installed_module
import asyncio, ssl, ctypes, os, shutil, socket, sqlite3, hashlib, tempfile, threading, subprocess, sys
shutil.copy(beside.__file__, tempfile.gettempdir()) # which sets modes
asyncio.run(asyncio.sleep(0)); threading.Thread(target=lambda: 0).start()
ssl.create_default_context()
socket.socketpair()
with tempfile.NamedTemporaryFile() as f: f.write(b"x")
assert subprocess.run([sys.executable, "-c", "import json"]).returncode == 0
try: print(open("`+kept+`").read())
except PermissionError: print("refused")
`)
		python := filepath.Join(environment, "bin", "python")
		have, err := confined(t, confine.Needs{Keep: []string{filepath.Dir(kept)}}, nil, "", python, script)
		if have != "refused" || err != nil {
			t.Error(have, err)
		}
	})
	t.Run("a module of Python", func(t *testing.T) {
		t.Parallel()
		have, err := confined(t, confine.Needs{}, nil, "", "python3", "-m", "testdata.module")
		if have != "module of the working folder" || err != nil {
			t.Error(have, err)
		}
	})
	t.Run("Node.js", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("node"); err != nil {
			t.Skip("this machine has no Node.js")
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "node_modules", "above", "index.js"), "module.exports = 1")
		write(t, filepath.Join(dir, "package.json"), "{}")
		write(t, filepath.Join(dir, "plugin", "beside.js"), "module.exports = 1")
		other := write(t, filepath.Join(dir, "other"), "secret")
		script := write(t, filepath.Join(dir, "plugin", "main.js"), `#!/usr/bin/env node
require("above"); require("./beside")
const fs = require("fs"), os = require("os"), path = require("path"), { Worker } = require("worker_threads")
fs.writeFileSync(path.join(os.tmpdir(), "x"), "x"); os.cpus(); require("crypto").randomBytes(8)
const w = new Worker("require('worker_threads').parentPort.postMessage(1)", { eval: true })
w.on("message", () => {
  try { console.log(fs.readFileSync("`+other+`", "utf8")) } catch (e) { console.log(e.code) }
  w.terminate()
})
`)
		have, err := confined(t, confine.Needs{}, nil, "", script)
		if have != "EACCES" || err != nil {
			t.Error(have, err)
		}
	})
}

// Plugins still have what they had before plugins were confined.
func TestWhatIsLeft(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "elsewhere", "program"), "#!/bin/sh\necho executed\n")
	kept := write(t, filepath.Join(dir, "kept", "program"), "#!/bin/sh\necho executed\n")
	wrapper := write(t, filepath.Join(dir, "wrapper", "plugin"), "#!/bin/sh\n"+
		kept+" 2>/dev/null || echo refused\n"+
		dir+"/wrapper/beside\n"+
		"exec '"+dir+"/elsewhere/program' \"$@\"\n")
	write(t, filepath.Join(dir, "wrapper", "beside"), "#!/bin/sh\necho beside\n")
	home := filepath.Join(dir, "home")
	write(t, filepath.Join(home, ".config"), "configured")
	for _, test := range []struct {
		name, does string
		command    []string
		env        []string
		want       string
	}{
		{name: "what a wrapper executes", command: []string{wrapper}, want: "refused\nbeside\nexecuted"},
		{name: "a home folder of its own", env: []string{"HOME=" + home}, command: []string{"/bin/sh"},
			does: "cat ~/.config; echo x > ~/.cache && echo written", want: "configuredwritten"},
		{name: "the home folder of this user", env: []string{"HOME=" + os.Getenv("HOME")}, command: []string{"/bin/sh"},
			does: "ls ~ >/dev/null 2>&1 || echo refused", want: "refused"},
		{name: "a folder for temporary files", env: []string{"TMPDIR=" + filepath.Join(dir, "elsewhere")},
			command: []string{"/bin/sh"},
			does:    "echo x > $TMPDIR/x && dirname $TMPDIR", want: dir},
		{name: "the folder of everybody's temporary files", env: []string{"TMPDIR=" + os.TempDir()},
			command: []string{"/bin/sh"},
			does:    `echo x > $TMPDIR/x && [ $TMPDIR = $FOLDER/tmp ] && echo its own`, want: "its own"},
		{name: "names", command: []string{"/bin/sh"}, does: "cat /etc/hosts /etc/resolv.conf >/dev/null && echo read",
			want: "read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			have, err := confined(t, confine.Needs{Keep: []string{filepath.Dir(kept)}}, test.env, test.does, test.command...)
			if have != test.want || err != nil {
				t.Errorf("%q and not %q, %v", have, test.want, err)
			}
		})
	}
}

// In the home folder of the node's user a plugin in Python can read what is installed there for it.
func TestPackagesOfTheUser(t *testing.T) {
	needLandlock(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	packages, err := exec.Command("python3", "-c", "import site; print(site.getusersitepackages())").Output()
	if err != nil {
		t.Skip(err)
	}
	write(t, filepath.Join(strings.TrimSpace(string(packages)), "of_the_user.py"), "print('of the user')")
	secret := write(t, filepath.Join(home, "secret"), "secret")
	have, err := confined(t, confine.Needs{}, []string{"HOME=" + home}, `import of_the_user
try: print(open("`+secret+`").read())
except PermissionError: print("refused")
`, "python3", "-")
	if have != "of the user\nrefused" || err != nil {
		t.Error(have, err)
	}
}

// An error says what was asked for, why it cannot be had and what can.
func TestLevelsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	wants := map[confine.Level]string{
		"all": `"all" cannot be had: it is none of [auto none limits landlock user namespace]`}
	if os.Geteuid() != 0 {
		wants[confine.User] = "may not start others as another user"
	}
	for level, want := range wants {
		if _, err := confine.New(confine.Needs{Level: level}); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
}

// The error about a program that is not executed is the same as without a stage.
func TestNotExecuted(t *testing.T) {
	t.Parallel()
	c, err := confine.New(confine.Needs{Level: confine.Limits})
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: filepath.Join(t.TempDir(), "missing"), Args: []string{"missing"}}
	started, err := c.Prepare(confine.Launch{Cmd: cmd, Command: cmd.Args, Program: cmd.Path, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := started(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
}

// If this machine refuses what confinement needs, auto uses what is left of it and says so.
func TestMachinesThatRefuse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ refuses, want string }{
		{"landlock", "limits without files, truncation of files, TCP ports, signals: this kernel has no Landlock, or a " +
			"filter of system calls hides it\n0"},
		{"landlock's last step", "limits without files, truncation of files, TCP ports, signals: confining it: restricting " +
			"itself: operation not permitted; ask for a lower confinement if this machine does not allow it\n0"},
		{"descriptors", "landlock: \nmaking a file in memory (memfd_create): too many open files\n"},
		{"memfd", "none: making a file in memory (memfd_create): operation not permitted\n"},
		{"capset", "none: confining it: drop: operation not permitted; ask for a lower confinement if this machine does " +
			"not allow it\n"},
		{"namespaces", `the confinement "namespace" cannot be had: this machine refuses a process namespaces of its own: `},
	} {
		t.Run(test.refuses, func(t *testing.T) {
			t.Parallel()
			if test.refuses == "landlock's last step" || test.refuses == "descriptors" {
				needLandlock(t)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = []string{"REFUSES=" + test.refuses}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), test.want) {
				t.Errorf("%s, %v; wanted\n%s", out, err, test.want)
			}
		})
	}
}

// A command that changes users goes on doing so.
func TestCommandsThatChangeUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, setuid := range map[string]bool{"sudo": false, "anything": true} {
		program := write(t, filepath.Join(dir, name), "#!/bin/sh\n")
		if setuid {
			if err := os.Chmod(program, 0o755|os.ModeSetuid); err != nil {
				t.Fatal(err)
			}
		}
		c, err := confine.New(confine.Needs{Command: []string{program, "plugin"}})
		if err != nil {
			t.Fatal(err)
		}
		want := "its command runs " + name + ", which changes users or confines by itself"
		if c.Level() != confine.None || c.Why() != want {
			t.Errorf("%s: %s, %q and not %q", name, c.Level(), c.Why(), want)
		}
	}
}

// Users are given out once, and again when they are given back.
func TestUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("root alone has other users to give")
	}
	var machine confine.Machine
	user := func() *confine.Confinement {
		c, err := confine.New(confine.Needs{Level: confine.User, Machine: &machine})
		if err != nil {
			t.Skip(err) // root of a container may have too little
		}
		return c
	}
	first, second := user(), user()
	if first.User() == second.User() || first.User() == 0 {
		t.Errorf("two plugins run as %d and %d", first.User(), second.User())
	}
	first.Close()
	if third := user(); third.User() != first.User() {
		t.Errorf("%d was given back and %d is given out", first.User(), third.User())
	}
	second.Close()
}

// BenchmarkLaunch compares starts of a program with and without a stage, each beside the other: medians of what they
// take.
func BenchmarkLaunch(b *testing.B) {
	levels := []confine.Level{confine.None, confine.Limits, confine.Auto}
	if c, err := confine.New(confine.Needs{Level: confine.Namespace}); err == nil {
		c.Close()
		levels = append(levels, confine.Namespace)
	}
	took := map[confine.Level][]time.Duration{}
	var machine confine.Machine // a host finds out about it once
	for b.Loop() {
		for _, level := range levels {
			begin := time.Now()
			if _, err := confined(b, confine.Needs{Level: level, Machine: &machine}, nil, "", "/bin/true"); err != nil {
				b.Fatal(err)
			}
			took[level] = append(took[level], time.Since(begin))
		}
	}
	for _, level := range levels {
		slices.Sort(took[level])
		b.ReportMetric(float64(took[level][len(took[level])/2].Microseconds())/1000, string(level)+"-ms")
	}
}
