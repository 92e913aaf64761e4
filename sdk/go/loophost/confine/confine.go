// Package confine takes from plugins what they do not need, and from whoever runs as the host's user the look into the
// host.
//
// It knows processes, files and the kernel. It must not know what a plugin is for: who starts one says what it needs.
package confine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Level is how far a plugin is confined. Each level includes the ones before it. There are two exceptions: User is
// available only where the host may start processes as another user, and only there Namespace includes it.
type Level string

const (
	// Auto means Landlock if the kernel has it, else Limits, else None. For a command that changes users or confines
	// itself, which it could no longer do, it means None.
	Auto Level = "auto"
	// None confines nothing.
	None Level = "none"
	// Limits takes away capabilities, the gain of privileges and core dumps, and bounds descriptors.
	Limits Level = "limits"
	// Landlock restricts files, TCP ports and signals, and hides other processes.
	Landlock Level = "landlock"
	// User runs the plugin as a user of its own, with a bounded number of processes, and with Landlock if the kernel
	// has it.
	User Level = "user"
	// Namespace runs the plugin in its own namespaces: of processes, which end with it and are bounded in number; of
	// mounts, in which the host's files are missing; and of the network, if it may connect nowhere. If the host may
	// start processes as another user, the plugin also gets a user of its own.
	Namespace Level = "namespace"
)

// Told returns the level for people, with what is missing there.
func (l Level) Told(lacks []string) string {
	if len(lacks) == 0 {
		return string(l)
	}
	return string(l) + " without " + strings.Join(lacks, ", ")
}

// Levels are the levels that a configuration may name.
func Levels() []Level { return []Level{Auto, None, Limits, Landlock, User, Namespace} }

// Descriptors is how many descriptors a plugin may have open unless its host says otherwise: a relayer needs one for
// each connection.
const Descriptors = 4096

// Processes is how many processes and threads a plugin may have, if something bounds them: its own user, its own
// namespace of users, or the host's control groups. Two generations with the same user share the bound while one takes
// over from the other.
const Processes = 1024

// Needs are what a plugin needs besides what every plugin gets: its program and its interpreter, the system's
// libraries, its own folders, and what its command and its environment name.
type Needs struct {
	// Command is the plugin's command.
	Command []string
	// Level is the requested level; empty means Auto. If a level other than Auto is not available, that is an error.
	Level Level
	// Read and Write are files and folders. Programs in Read may be executed.
	Read, Write []string
	// Connect are the TCP ports that the plugin may connect to; nil means all.
	Connect []uint16
	// Descriptors is how many descriptors it may have open; 0 means the constant Descriptors.
	Descriptors uint64
	// Keep are the host's own files and folders. Only Read and Write open them; a folder that contains them does not.
	Keep []string
	// Machine is what is known about this machine; nil means nothing yet.
	Machine *Machine
}

// Confinement is how the processes of a plugin are confined.
type Confinement struct {
	needs Needs
	level Level
	why   string // the level is not Landlock although Auto was requested
	abi   int    // of Landlock; 0: it is not used
	user  int    // 0: the host's
}

// New returns the confinement of one plugin. Close it after the plugin's last process.
func New(n Needs) (*Confinement, error) {
	if n.Level == "" {
		n.Level = Auto
	}
	if n.Descriptors == 0 {
		n.Descriptors = Descriptors
	}
	if n.Machine == nil {
		n.Machine = &Machine{}
	}
	c := &Confinement{needs: n, level: n.Level}
	if err := c.choose(); err != nil {
		return nil, fmt.Errorf("the confinement %q cannot be had: %w", n.Level, err)
	}
	return c, nil
}

// Level returns the level in force, which is never Auto.
func (c *Confinement) Level() Level {
	if c == nil {
		return None
	}
	return c.level
}

// Why says why the level in force is lower than Landlock although Auto was requested; empty if it is not lower.
func (c *Confinement) Why() string {
	if c == nil {
		return ""
	}
	return c.why
}

// Lacks are the parts of Landlock, if it was requested, that this machine does not support.
func (c *Confinement) Lacks() []string {
	var lacks []string
	if c.Level() == None || c.level == Limits && c.needs.Level != Auto {
		return nil
	}
	for _, l := range []struct {
		abi  int
		what string
	}{{1, "files"}, {3, "truncation of files"}, {4, "TCP ports"}, {6, "signals"}} {
		if c.abi < l.abi {
			lacks = append(lacks, l.what)
		}
	}
	return lacks
}

// User returns the user that the plugin runs as; 0 means the host's.
func (c *Confinement) User() int {
	if c == nil {
		return 0
	}
	return c.user
}

// Own gives files and folders to the plugin's user.
func (c *Confinement) Own(paths ...string) error {
	if c.User() == 0 {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, c.user, c.user); err != nil {
			return fmt.Errorf("giving %s to the plugin's user: %w", path, err)
		}
	}
	return nil
}

// Temporary returns the folder for temporary files of a process that has the given folder: one within it from Landlock
// on, else the host's.
func (c *Confinement) Temporary(folder string) string {
	if l := c.Level(); l == Landlock || l == User || l == Namespace {
		return filepath.Join(folder, "tmp")
	}
	return os.TempDir()
}

// Close releases the plugin's user.
func (c *Confinement) Close() {
	if c.User() != 0 {
		c.needs.Machine.give(c.user)
	}
}

// Launch is the start of one process. Cmd has the path, arguments, environment and files of the plugin.
type Launch struct {
	Cmd *exec.Cmd
	// Command is the original command, before files replaced paths in Cmd's arguments, and Program is the path of its
	// program.
	Command []string
	Program string
	// Pinned is how many of Cmd's first extra files are the program and its script, which are executed instead of their
	// paths.
	Pinned int
	// Folder is the folder of the process.
	Folder string
}

// oneLine reports whether a path fits into a line of a stage's script.
func oneLine(path string) bool { return !strings.Contains(path, "\n") }
