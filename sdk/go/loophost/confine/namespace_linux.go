package confine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine/stage"
)

// takeNamespaces finds out whether this machine lets a process have namespaces of its own. With privileges the plugin
// has a user of its own as well; without them it has a user namespace, in which it keeps the host's user.
func (c *Confinement) takeNamespaces() error {
	if may(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN, unix.CAP_SYS_ADMIN) {
		if err := c.takeUser(); err != nil {
			return err
		}
	}
	if err := c.needs.Machine.namespaces(*c); err != nil {
		c.Close()
		return fmt.Errorf("this machine refuses a process namespaces of its own: %w; allow them (user.max_user_namespaces, "+
			"AppArmor's or a container's profile), or ask for \"auto\"", err)
	}
	return nil
}

// isolated reports whether the plugin reaches no network at all.
func (c *Confinement) isolated() bool { return c.needs.Connect != nil && len(c.needs.Connect) == 0 }

// unshare makes a command start in namespaces of its own, with the one capability that its stage needs to set them up.
func (c *Confinement) unshare(cmd *syscall.SysProcAttr) {
	cmd.Cloneflags |= unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	if c.user == 0 {
		cmd.Cloneflags |= unix.CLONE_NEWUSER
	}
	if c.isolated() {
		cmd.Cloneflags |= unix.CLONE_NEWNET
	}
	cmd.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
}

// enter tells a stage how to set up its namespaces.
func (c *Confinement) enter(b *script, l *Launch) {
	if c.user == 0 {
		b.line(stage.Alone, os.Geteuid(), os.Getegid())
	}
	b.line(stage.Unshared)
	if l != nil {
		for _, path := range c.hidden(*l) {
			b.line(stage.Hide, path)
		}
	}
	b.line(stage.Processes)
}

// hidden are the host's own files and folders in which nothing lies that the process uses.
func (c *Confinement) hidden(l Launch) []string {
	used := append([]string{l.Folder, l.Program}, l.Command...)
	used = append(append(used, c.needs.Read...), c.needs.Write...)
	for i, path := range used {
		if filepath.IsAbs(path) {
			used[i] = placed(path)
		}
	}
	var hidden []string
	for _, kept := range c.needs.Keep {
		if path := placed(kept); oneLine(path) && !holdsAny(path, used) {
			hidden = append(hidden, path)
		}
	}
	slices.Sort(hidden)
	return slices.Compact(hidden)
}
