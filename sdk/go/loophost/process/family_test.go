package process_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loop-plugins/loop/sdk/go/loophost/process"
)

// relativeBytes is what a plugin's relative takes, far more than the plugin itself.
const relativeBytes = 96 << 20

// relative is a command that runs this program as another relative of the plugin. One that is estranged keeps neither
// its session, and with it its group, nor its environment.
func relative(what string, keepsGroup, keepsEnvironment bool) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: !keepsGroup}
	cmd.Env = []string{"FAKE_RELATIVE=" + what, "FAKE_HOG=" + os.Getenv("FAKE_HOG"),
		"FAKE_LEAVE=" + os.Getenv("FAKE_LEAVE")}
	if keepsEnvironment {
		cmd.Env = append(os.Environ(), cmd.Env...)
	}
	return cmd
}

// multiply starts the plugin's relatives.
func multiply(how string) error {
	switch how {
	case "a child of another thread":
		started := make(chan error)
		var fromAnother func()
		fromAnother = func() {
			runtime.LockOSThread()
			if at, _ := os.Readlink("/proc/thread-self"); filepath.Base(at) == strconv.Itoa(os.Getpid()) {
				go fromAnother() // this is the first thread, and stays locked
			} else {
				started <- relative("hog", false, false).Start()
			}
			select {}
		}
		go fromAnother()
		return <-started
	case "left in the group":
		return relative("parent in the group", true, false).Run()
	case "a daemon":
		return relative("parent", false, true).Run()
	case "a daemon's child":
		return relative("grandparent", false, true).Run()
	case "an estranged daemon":
		return relative("parent that leaves", false, false).Start()
	case "an impostor":
		cmd := relative("hog", false, false)
		cmd.Env = append(cmd.Env, strings.Fields(os.Getenv("FAKE_GUESSED"))...)
		if group, err := strconv.Atoi(os.Getenv("FAKE_GROUP")); err == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
			if cmd.Start() == nil {
				return nil
			}
			again := relative("hog", false, false)
			again.Env = cmd.Env
			return again.Start()
		}
		return cmd.Start()
	case "a stray":
		return relative("parent that is gone", false, false).Run()
	}
	return nil
}

// beRelative is a process that a plugin has started. It takes memory, or starts one that does, and ends.
func beRelative(what string) {
	var err error
	switch what {
	case "grandparent":
		err = relative("parent that stays", false, true).Start()
	case "parent that stays":
		err = relative("hog", false, false).Run()
	case "parent in the group":
		err = relative("hog", true, false).Start()
	case "parent that leaves":
		if err = relative("hog", false, false).Start(); err == nil {
			_, err = os.ReadFile(os.Getenv("FAKE_LEAVE")) // a pipe: returns when the other end is closed
		}
	case "parent that is gone":
		err = relative("hog", false, false).Start()
	case "parent":
		err = relative("hog", false, true).Start()
	case "hog":
		hog := make([]byte, relativeBytes)
		for at := 0; at < len(hog); at += 512 {
			hog[at] = 1
		}
		var f *os.File
		if f, err = os.OpenFile(os.Getenv("FAKE_HOG"), os.O_WRONLY, 0); err == nil {
			_, err = fmt.Fprintln(f, os.Getpid())
			time.Sleep(time.Minute) // it is killed long before
			runtime.KeepAlive(hog)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parent is that of a process, as /proc has it.
func parent(t *testing.T, pid string) string {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "PPid:\t")
	before, _, _ := strings.Cut(after, "\n")
	return before
}

// Whatever comes of a plugin counts for its memory and ends with it: children of any thread, and those that lost their
// parents, as daemons do, by their group, by their environment or because they were seen before.
func TestFamily(t *testing.T) {
	t.Parallel()
	if !process.TellsMemory() {
		t.Skip("the memory of processes is told by Linux alone")
	}
	for _, how := range []string{"a child of another thread", "left in the group", "a daemon", "a daemon's child",
		"an estranged daemon"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe, leave := filepath.Join(dir, "hog"), filepath.Join(dir, "leave")
			for _, path := range []string{pipe, leave} {
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p, _, err := start(t, "FAKE_MULTIPLY="+how, "FAKE_HOG="+pipe, "FAKE_LEAVE="+leave)
			if err != nil {
				t.Fatal(err)
			}
			hog, err := os.Open(pipe)
			if err != nil {
				t.Fatal(err)
			}
			defer hog.Close()
			pid, err := bufio.NewReader(hog).ReadString('\n') // comes when it has its memory
			if err != nil {
				t.Fatal(err)
			}
			pid = strings.TrimSpace(pid)
			eventually(t, "the memory of all", func() bool { return p.Memory() > relativeBytes })
			if how == "an estranged daemon" {
				before := parent(t, pid)
				f, err := os.OpenFile(leave, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				_ = f.Close()
				eventually(t, "the end of its parent", func() bool { return parent(t, pid) != before })
			}
			if took := p.Memory(); took <= relativeBytes {
				t.Errorf("its memory counts no more: %d MiB", took>>20)
			}
			other, _, err := start(t)
			if err != nil {
				t.Fatal(err)
			}
			if took := other.Memory(); took == 0 || took > relativeBytes {
				t.Errorf("another plugin takes %d MiB", took>>20)
			}
			p.Kill()
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, hog) // ends with the last process that holds the other end
				ended <- err
			}()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("it lives on without the plugin")
			}
		})
	}
}

// A plugin that knows of another what can be known, its folder for sockets and its process's id, cannot start a process
// that counts as the other's.
func TestImpostor(t *testing.T) {
	t.Parallel()
	if !process.TellsMemory() {
		t.Skip("the memory of processes is told by Linux alone")
	}
	other, _, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	guessed := []string{}
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", other.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		if name, _, _ := strings.Cut(variable, "="); name == "PLUGIN_UNIX_SOCKET_DIR" || name == "TMPDIR" {
			guessed = append(guessed, variable)
		}
	}
	pipe := filepath.Join(t.TempDir(), "hog")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := start(t, "FAKE_MULTIPLY=an impostor", "FAKE_HOG="+pipe, "FAKE_GUESSED="+strings.Join(guessed, " "),
		fmt.Sprint("FAKE_GROUP=", other.PID()))
	if err != nil {
		t.Fatal(err)
	}
	hog, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer hog.Close()
	if _, err := bufio.NewReader(hog).ReadString('\n'); err != nil { // comes when it has its memory
		t.Fatal(err)
	}
	eventually(t, "the memory to count where it belongs", func() bool { return p.Memory() > relativeBytes })
	if took := other.Memory(); took == 0 || took > relativeBytes {
		t.Errorf("the other plugin takes %d MiB", took>>20)
	}
}

// A process that lost its parent, its session and its environment before anybody looked becomes a child of a host that
// adopts, ends with the plugin, and leaves no zombie.
func TestStrays(t *testing.T) {
	t.Parallel()
	if !process.TellsMemory() {
		t.Skip("this machine has no /proc")
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "hog")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	host := exec.CommandContext(t.Context(), os.Args[0])
	host.Env = append(os.Environ(), "FAKE_HOST="+os.Args[0], "FAKE_MULTIPLY=a stray", "FAKE_HOG="+pipe,
		"FAKE_SOCKETS="+shortDir(t))
	commands, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	hog, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer hog.Close()
	pid, err := bufio.NewReader(hog).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	// which the plugin is when it has seen the stray's first parent end
	if line, err := said.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	if have, want := parent(t, strings.TrimSpace(pid)), strconv.Itoa(host.Process.Pid); have != want {
		t.Errorf("the stray's parent is %s, not the host %s", have, want)
	}
	if err := commands.Close(); err != nil { // the host ends the plugin
		t.Fatal(err)
	}
	if line, err := said.ReadString('\n'); line != "children: \n" {
		t.Errorf("the host has %q, %v", line, err)
	}
	if _, err := io.Copy(io.Discard, hog); err != nil { // ends with the last process that holds the other end
		t.Error(err)
	}
	_ = host.Wait()
}
