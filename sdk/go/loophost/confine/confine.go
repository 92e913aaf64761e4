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

// Level is how far a plugin is confined. Each level holds what the ones before it hold, but that User is had, and held
// by Namespace, where the host may start others as another user alone.
type Level string

const (
	// Auto asks for Landlock where the kernel has it, else for Limits, else for None. For a command that changes users
	// or confines by itself, which it could not any more, it is None.
	Auto Level = "auto"
	// None confines nothing.
	None Level = "none"
	// Limits takes capabilities, the gain of privileges and core dumps, and bounds descriptors.
	Limits Level = "limits"
	// Landlock takes files, TCP ports, signals and the look into other processes.
	Landlock Level = "landlock"
	// User runs the plugin as a user of its own, whose processes are bounded in number, besides Landlock where the
	// kernel has it.
	User Level = "user"
	// Namespace runs the plugin in namespaces of its own: of processes, which end with it and are bounded in number, of
	// mounts, in which what the host keeps is not there, and if it is to connect nowhere of the network. Who may start
	// others as another user gives it one as well.
	Namespace Level = "namespace"
)

// Told is the level for people, with what is lacking there.
func (l Level) Told(lacks []string) string {
	if len(lacks) == 0 {
		return string(l)
	}
	return string(l) + " without " + strings.Join(lacks, ", ")
}

// Levels are those that can be asked for.
func Levels() []Level { return []Level{Auto, None, Limits, Landlock, User, Namespace} }

// Descriptors is how many descriptors a plugin may have open unless its host says otherwise: a relayer has one for
// each connection.
const Descriptors = 4096

// Processes is how many processes and threads a plugin may have, where something bounds them: a user or a namespace of
// users of its own, or its host's control groups. Two generations with one user share it when one takes over from
// another.
const Processes = 1024

// Needs are what a plugin has besides what every plugin has: its program and its interpreter, the system's libraries,
// its own folders, and what its command and its environment name.
type Needs struct {
	// Command is the plugin's.
	Command []string
	// Level is the level that is asked for; empty: Auto. Any other than Auto is had or is an error.
	Level Level
	// Read and Write are files and folders, of which programs in Read may be executed.
	Read, Write []string
	// Connect are the TCP ports that it may connect to. Nil: any.
	Connect []uint16
	// Descriptors is how many it may have open; 0: Descriptors.
	Descriptors uint64
	// Keep are the host's own files and folders: nothing but Read and Write opens them, and no folder that holds them
	// does.
	Keep []string
	// Machine is what is known of this machine; nil: nothing yet.
	Machine *Machine
}

// Confinement is what a plugin's processes are started with.
type Confinement struct {
	needs Needs
	level Level
	why   string // it is not Landlock that Auto is
	abi   int    // of Landlock; 0: it is not used
	user  int    // 0: the host's
}

// New is the confinement of one plugin. Close it after the plugin's last process.
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

// Level is the level in force: never Auto.
func (c *Confinement) Level() Level {
	if c == nil {
		return None
	}
	return c.level
}

// Why says why the level in force is lower than Landlock although Auto was asked for; empty: it is not.
func (c *Confinement) Why() string {
	if c == nil {
		return ""
	}
	return c.why
}

// Lacks are what this machine cannot take of what Landlock takes, if it was asked for.
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

// User is the user that the plugin runs as; 0: the host's.
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

// Temporary is where the temporary files of a process go that has a folder of its own: there, if it has no other.
func (c *Confinement) Temporary(folder string) string {
	if l := c.Level(); l == Landlock || l == User || l == Namespace {
		return filepath.Join(folder, "tmp")
	}
	return os.TempDir()
}

// Close gives the plugin's user back.
func (c *Confinement) Close() {
	if c.User() != 0 {
		c.needs.Machine.give(c.user)
	}
}

// Launch is the start of one process. Cmd's path, arguments, environment and files are those of the plugin.
type Launch struct {
	Cmd *exec.Cmd
	// Command is what Cmd's arguments were before files took the places of paths in them, and Program where its
	// program lies.
	Command []string
	Program string
	// Pinned is how many of Cmd's first extra files are the program and its script, which are executed in place of
	// their paths.
	Pinned int
	// Folder is the process's own.
	Folder string
}

// oneLine is whether a path can be said to a stage.
func oneLine(path string) bool { return !strings.Contains(path, "\n") }
