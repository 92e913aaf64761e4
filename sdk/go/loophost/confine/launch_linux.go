package confine

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine/stage"
)

// badness makes the kernel end plugins before their host when memory runs out; 1000 is the most.
const badness = 500

// stagePath is the program that becomes a stage: this one.
const stagePath = "/proc/self/exe"

// ABI returns the Landlock version of this kernel; 0 if there is none, or if a filter of this process's system calls
// hides it.
func ABI() int {
	version, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(version)
}

// choose settles the level.
func (c *Confinement) choose() error {
	switch c.level {
	case Auto:
		if program := changesUsers(c.needs.Command); program != "" {
			c.level, c.why = None, "its command runs "+program+", which changes users or confines by itself"
			return nil
		}
		c.level, c.why = c.needs.Machine.best()
		if c.level == Landlock {
			c.abi = ABI()
		}
	case None, Limits:
	case Landlock:
		if c.abi = ABI(); c.abi == 0 {
			return errors.New("this kernel has no Landlock, or a filter of system calls hides it; ask for \"auto\" " +
				"or \"limits\", or allow it (Linux 5.13 or later, lsm=landlock)")
		}
	case User:
		c.abi = ABI()
		return c.takeUser()
	case Namespace:
		c.abi = ABI()
		return c.takeNamespaces()
	default:
		return fmt.Errorf("it is none of %v", Levels())
	}
	return nil
}

func (c *Confinement) takeUser() (err error) {
	if !may(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN) {
		return errors.New("this process may not start others as another user (it lacks CAP_SETUID, CAP_SETGID or " +
			"CAP_CHOWN); run it as root, or ask for \"auto\"")
	}
	c.user, err = c.needs.Machine.take()
	return err
}

// changers are programs that need what confinement takes away: privileges, namespaces, or a service of root's.
var changers = []string{
	"sudo", "su", "doas", "runuser", "setpriv", "capsh", "chroot", "unshare", "nsenter", "bwrap", "firejail", "nsjail",
	"systemd-run", "docker", "podman", "nerdctl",
}

// changesUsers is the program of a command that changes users or confines by itself; empty if it does neither.
func changesUsers(command []string) string {
	if len(command) == 0 {
		return ""
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return ""
	}
	info, err := os.Stat(path)
	setuid := err == nil && info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0
	if name := filepath.Base(path); setuid || slices.Contains(changers, name) {
		return name
	}
	return ""
}

// rehearse starts a process that confines itself as a plugin would, and ends.
func (c *Confinement) rehearse() error {
	var b script
	c.take(&b, nil)
	cmd := &exec.Cmd{Path: stagePath, Args: []string{"stage"}, SysProcAttr: &syscall.SysProcAttr{}}
	c.become(cmd.SysProcAttr)
	started, err := b.stage(cmd)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, started())
	}
	err = started()
	_ = cmd.Process.Kill() // if it hangs
	_ = cmd.Wait()         // a host that adopts strays may have waited for it
	return err
}

// may reports whether this process has capabilities.
func may(capabilities ...int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	for _, capability := range capabilities {
		if data[capability/32].Effective&(1<<(capability%32)) == 0 {
			return false
		}
	}
	return true
}

// Started waits until a started process has become the plugin. An error that is a system error number comes from the
// execution.
type Started func() error

// Prepare changes a command so that its process confines itself first and then becomes the plugin. The caller must call
// the returned function once, whether or not the command could be started.
func (c *Confinement) Prepare(l Launch) (Started, error) {
	if c.Level() == None {
		return func() error { return nil }, nil
	}
	path := l.Cmd.Path
	if !oneLine(path) {
		return nil, fmt.Errorf("%q has a line's end in its path, with which no program can be confined", path)
	}
	if temporary := c.Temporary(l.Folder); temporary != os.TempDir() {
		if err := os.Mkdir(temporary, 0o700); err != nil {
			return nil, fmt.Errorf("making a folder for temporary files: %w", err)
		}
		if err := c.Own(l.Folder, temporary); err != nil {
			return nil, err
		}
	}
	if c.abi > 0 {
		l.Cmd.Env = withoutShared(l.Cmd.Env)
	}
	var b script
	c.take(&b, &l)
	b.line(stage.Execute, path)
	started, err := b.stage(l.Cmd)
	if err != nil {
		return nil, err
	}
	c.become(l.Cmd.SysProcAttr)
	return started, nil
}

// become makes a command start as the plugin's user and in its namespaces.
func (c *Confinement) become(attributes *syscall.SysProcAttr) {
	if c.user != 0 {
		attributes.Credential = &syscall.Credential{Uid: uint32(c.user), Gid: uint32(c.user)}
	}
	if c.level == Namespace {
		c.unshare(attributes)
	}
}

// withoutShared returns an environment without a TMPDIR that others use too, since a plugin has its own such folder.
func withoutShared(environment []string) []string {
	wide := wide()
	return slices.DeleteFunc(environment, func(variable string) bool {
		folder, found := strings.CutPrefix(variable, "TMPDIR=")
		return found && filepath.IsAbs(folder) && holdsAny(placed(folder), wide)
	})
}

// script tells a stage what to take away and what to execute.
type script struct{ bytes.Buffer }

func (b *script) line(word string, arguments ...any) {
	_, _ = fmt.Fprintln(b, append([]any{word}, arguments...)...)
}

// stage makes a command start a stage: this program, which reads the script from a file in memory.
func (b *script) stage(cmd *exec.Cmd) (_ Started, err error) {
	memory, err := unix.MemfdCreate("stage", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory (memfd_create): %w", err)
	}
	file := os.NewFile(uintptr(memory), "stage")
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	if _, err := b.WriteTo(file); err != nil {
		return nil, fmt.Errorf("writing to a file in memory: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	const firstExtra = 3
	at := firstExtra + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, file, write)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", stage.Key, at, at+1))
	cmd.Path = stagePath
	return func() error {
		_ = file.Close()
		_ = write.Close() // the process has its own until it becomes the plugin
		defer func() { _ = read.Close() }()
		return reported(read)
	}, nil
}

// staged is how long a stage may take. It needs a millisecond: a machine on which it takes longer starts nothing in
// time.
const staged = 10 * time.Second

// reported returns what a stage reports as failed.
func reported(read *os.File) error {
	_ = read.SetReadDeadline(time.Now().Add(staged))
	said, err := io.ReadAll(io.LimitReader(read, 4096))
	switch text := string(said); {
	case err != nil:
		return fmt.Errorf("confining it: the process has not become the plugin within %s: %w", staged, err)
	case text == "":
		return nil
	default:
		if number, err := strconv.Atoi(text); err == nil {
			return syscall.Errno(number)
		}
		return errors.New("confining it: " + text + "; ask for a lower confinement if this machine does not allow it")
	}
}

// take writes what a process loses; without a launch, it is one that executes nothing.
func (c *Confinement) take(b *script, l *Launch) {
	b.line(stage.Host)
	if c.level == Namespace {
		c.enter(b, l)
	}
	b.line(stage.Score, badness)
	b.line(stage.Limit, unix.RLIMIT_NOFILE, c.needs.Descriptors)
	b.line(stage.Limit, unix.RLIMIT_CORE, 0)
	if c.user != 0 || c.level == Namespace {
		b.line(stage.Limit, unix.RLIMIT_NPROC, Processes)
	}
	b.line(stage.Drop)
	b.line(stage.NoNew)
	if c.abi > 0 {
		c.rules(b, l)
	}
	if f := filterOf(c.user != 0); f != nil {
		b.line(stage.Filter, hex.EncodeToString(f))
	}
}
