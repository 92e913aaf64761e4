package confine

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What every plugin may read, and execute, and write. What is missing on a machine is left out.
var (
	systemPrograms = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"}
	systemFiles    = []string{
		"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/var/lib/ca-certificates", "/etc/crypto-policies",
		"/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/nsswitch.conf", "/etc/services",
		"/etc/protocols", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/passwd", "/etc/group",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld-musl-x86_64.path",
		"/etc/ld-musl-aarch64.path", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf",
		"/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/version", "/proc/filesystems",
		"/proc/loadavg", "/proc/uptime", "/proc/sys", "/sys/devices/system", "/sys/fs/cgroup",
		"/sys/kernel/mm/transparent_hugepage", "/dev/urandom", "/dev/random",
	}
	systemDevices = []string{"/dev/null", "/dev/zero", "/dev/full"}
)

// rule allows access to what is at a path and beneath it.
type rule struct {
	access uint64
	path   string
}

// paths finds out which files a process may use.
type paths struct {
	keep  []string
	wide  []string // folders that are not opened as a whole just because a program lies in them
	homes []string
	rules []rule
	seen  map[rule]bool
}

// paths are the rules for one process.
func (c *Confinement) paths(l Launch) []rule {
	p := &paths{seen: map[rule]bool{}}
	for _, path := range c.needs.Keep {
		p.keep = append(p.keep, placed(path))
	}
	p.wide = wide()
	for _, path := range systemPrograms {
		p.allow(executeThem, path)
	}
	for _, path := range systemFiles {
		p.must(readFiles, path) // in the stage, /proc/self is another process
	}
	if c.user != 0 || os.Geteuid() != 0 {
		p.allow(readFiles, "/etc") // only root may read the secrets there
	}
	for _, path := range systemDevices {
		p.must(writeThem, path)
	}
	p.homes = homes(l.Cmd.Env)
	p.program(l.Program, 0)
	p.words(l.Command)
	p.environment(l.Cmd.Env)
	for _, path := range c.needs.Read {
		p.must(executeThem, path)
	}
	for _, path := range append(slices.Clone(c.needs.Write), l.Folder) {
		p.must(writeThem, path)
	}
	return p.rules
}

// must allows access to a path whatever it holds.
func (p *paths) must(access uint64, path string) {
	if r := (rule{access, path}); !p.seen[r] && oneLine(path) {
		p.seen[r] = true
		p.rules = append(p.rules, r)
	}
}

// allow allows access to a path, without what the host keeps.
func (p *paths) allow(access uint64, path string) {
	path = resolved(path)
	switch {
	case path == "" || slices.Contains(p.keep, path):
	case !holdsAny(path, p.keep):
		p.must(access, path)
	default:
		children, err := os.ReadDir(path)
		if err != nil {
			return
		}
		p.must(access&unix.LANDLOCK_ACCESS_FS_READ_DIR, path) // only names: interpreters list folders
		for _, child := range children {
			p.allow(access, filepath.Join(path, child.Name()))
		}
	}
}

// around allows access to a folder because of what lies in it, unless it is one in which all kinds of things lie.
func (p *paths) around(access uint64, folder string) {
	if real := resolved(folder); real != "" && !holdsAny(real, p.wide) {
		p.allow(access, real)
	}
}

// wide are the folders in which all kinds of things lie: the root, the homes of this process's user, and the folder for
// temporary files.
func wide() []string {
	folders := []string{"/", placed(os.TempDir())}
	for _, home := range homes(nil) {
		folders = append(folders, placed(home))
	}
	return folders
}

// homes are the home folders of this process's user, and the one that an environment names.
func homes(environment []string) []string {
	homes := []string{os.Getenv("HOME")}
	if u, err := user.Current(); err == nil {
		homes = append(homes, u.HomeDir)
	}
	for _, variable := range environment {
		if home, found := strings.CutPrefix(variable, "HOME="); found {
			homes = append(homes, home)
		}
	}
	return slices.DeleteFunc(homes, func(home string) bool { return !filepath.IsAbs(home) })
}

// holdsAny reports whether one of the paths is the folder or lies in it.
func holdsAny(folder string, paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool { return within(path, folder) })
}

// deepest is how many interpreters may stand behind one another.
const deepest = 5

// program allows executing a program, on every path that leads to it, with the libraries of its installation and its
// interpreter.
func (p *paths) program(path string, depth int) {
	if depth > deepest {
		return
	}
	for range 40 { // as many links as the kernel follows
		p.must(executeThem, path)
		p.installation(path)
		p.packages(path) // also for the script by which a version manager runs Python
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	begin := beginOf(path)
	if begin == "" {
		return
	}
	if strings.HasPrefix(begin, elf.ELFMAG) {
		p.around(executeThem, filepath.Dir(path)) // its libraries, and what else it is delivered with
		return
	}
	p.script(path)
	interpreter := interpreterOf(begin)
	if interpreter == "" {
		return
	}
	if slices.Contains(shells, filepath.Base(interpreter)) {
		p.named(path, depth)
	}
	if at, err := exec.LookPath(interpreter); err == nil {
		p.program(at, depth+1)
	}
}

// shells are interpreters of scripts that often do nothing but execute another program in their place.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh"}

// named allows executing the programs that a shell's script names by absolute paths.
func (p *paths) named(script string, depth int) {
	between := func(r rune) bool { return strings.ContainsRune(" \t\n\"'`;&|()<>=$", r) }
	for _, word := range strings.FieldsFunc(strings.Join(linesOf(script), "\n"), between) {
		if !filepath.IsAbs(word) || p.isKept(word) {
			continue
		}
		if program, err := exec.LookPath(word); err == nil {
			p.program(program, depth+1)
		}
	}
}

// isKept reports whether a path is the host's own.
func (p *paths) isKept(path string) bool {
	path = placed(path)
	return slices.ContainsFunc(p.keep, func(kept string) bool { return within(path, kept) })
}

// packages allows reading the packages of Python that users install for themselves.
func (p *paths) packages(program string) {
	if strings.HasPrefix(filepath.Base(program), "python") {
		for _, home := range p.homes {
			p.allow(readFiles, filepath.Join(home, ".local", "lib"))
		}
	}
}

// installation allows what lies beside a folder bin: a runtime's libraries, and what Python's virtual environments are
// made of.
func (p *paths) installation(program string) {
	folder := filepath.Dir(program)
	prefix := filepath.Dir(folder)
	switch filepath.Base(folder) {
	case "shims": // of a version manager, which runs what it manages
		p.allow(executeThem, prefix)
		return
	case "bin":
	default:
		return
	}
	for _, name := range []string{"bin", "lib", "lib64", "libexec"} {
		p.allow(executeThem, filepath.Join(prefix, name))
	}
	config := filepath.Join(prefix, "pyvenv.cfg")
	p.allow(readFiles, config)
	for _, line := range linesOf(config) {
		if key, home, found := strings.Cut(line, "="); found && strings.TrimSpace(key) == "home" {
			p.allow(executeThem, strings.TrimSpace(home))
			p.allow(executeThem, filepath.Join(filepath.Dir(strings.TrimSpace(home)), "lib"))
		}
	}
	// Packages that are installed for development lie elsewhere.
	pattern := filepath.Join(prefix, "lib", "python*", "site-packages", "*.pth")
	links, _ := filepath.Glob(pattern) // a bad pattern has no match
	for _, link := range links {
		for _, line := range linesOf(link) {
			if filepath.IsAbs(line) {
				p.around(readFiles, line)
			}
		}
	}
}

// script allows reading a script and its folder, and the modules of Node.js around it.
func (p *paths) script(path string) {
	for _, at := range []string{path, resolved(path)} {
		if at == "" {
			continue
		}
		if absolute, err := filepath.Abs(at); err == nil {
			at = absolute
		}
		p.must(executeThem, at)
		p.around(executeThem, filepath.Dir(at))
		for folder := filepath.Dir(at); folder != "/"; folder = filepath.Dir(folder) {
			p.allow(readFiles, filepath.Join(folder, "node_modules"))
			p.allow(readFiles, filepath.Join(folder, "package.json"))
		}
	}
}

// words allows what a command names: programs, of which each may have a script behind it, and other files. Whoever
// writes the command means them to be used. The command of a shell is one word, and is split.
func (p *paths) words(command []string) {
	scripted := false // the program at hand has its script
	for _, word := range strings.Fields(strings.Join(command[1:], " ")) {
		if _, value, found := strings.Cut(word, "="); found {
			word = value
		}
		word = strings.Trim(word, `"'`)
		if word == "-m" {
			p.around(readFiles, ".") // where Python looks for the module first
		}
		if word == "" || word[0] == '-' {
			continue
		}
		if program, err := exec.LookPath(word); err == nil {
			p.program(program, 0)
			scripted = false
			continue
		}
		absolute, err := filepath.Abs(word)
		if err != nil {
			continue
		}
		p.around(readFiles, absolute)
		if info, err := os.Stat(absolute); err == nil && info.Mode().IsRegular() && !scripted {
			p.script(absolute)
			scripted = true
		}
	}
}

// environment allows reading what variables name.
func (p *paths) environment(environment []string) {
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		for path := range strings.SplitSeq(value, string(filepath.ListSeparator)) {
			switch {
			case !filepath.IsAbs(path):
			case name == "HOME":
				p.around(writeThem, path) // but not this process's own, which is wide
			case name == "TMPDIR", name == "GOCOVERDIR":
				p.allow(writeThem, path)
			case name == "PATH":
				p.allow(executeThem, path)
			default:
				p.around(readFiles, path)
			}
		}
	}
}

// resolved is a path without links; empty if nothing is there.
func resolved(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	if real, err = filepath.Abs(real); err != nil {
		return ""
	}
	return real
}

// placed is a path without links, as far as it exists: the rest may be made later.
func placed(path string) string {
	if real := resolved(path); real != "" {
		return real
	}
	absolute, err := filepath.Abs(path)
	if err != nil || absolute == "/" {
		return absolute
	}
	return filepath.Join(placed(filepath.Dir(absolute)), filepath.Base(absolute))
}

// within reports whether a path is the folder or in it.
func within(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}

// interpreterOf is the program that runs a script with this beginning; empty if there is none.
func interpreterOf(begin string) string {
	line, found := strings.CutPrefix(begin, "#!")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if !found || len(words) == 0 {
		return ""
	}
	if filepath.Base(words[0]) != "env" {
		return words[0]
	}
	for _, word := range words[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return word
		}
	}
	return ""
}

// beginOf is as much of a program as the kernel looks at; empty if it cannot be read.
func beginOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was only read
	begin := make([]byte, 256)
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	return string(begin[:n])
}

// linesOf are the lines of a small file.
func linesOf(path string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 64<<10 {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var lines []string
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		lines = append(lines, strings.TrimSpace(scan.Text()))
	}
	return lines
}
