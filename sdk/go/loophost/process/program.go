package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Checksum is the SHA-256 checksum of a file that a process was started from.
type Checksum struct {
	Path string
	// SHA256 is 64 hexadecimal digits.
	SHA256 string
}

// Checksums remembers the checksums of files that have not changed since they were read. Reading a file of 40 MB takes
// some 35 ms, as long as a plugin takes to come back after a crash.
type Checksums struct {
	mu    sync.Mutex
	known map[identity]string
}

// settled is how old the last change of a file must be for its checksum to be remembered: a second change within the
// grain of the file system's clock would not show.
const settled = 2 * time.Second

// mostKnown bounds what is remembered. A host has a few programs, and each upgrade leaves one behind.
const mostKnown = 64

// of returns the checksum of a file, which it reads unless it remembers it.
func (c *Checksums) of(f *os.File) (string, error) {
	id, changed, ok := identify(f)
	c.mu.Lock()
	sum, known := c.known[id]
	c.mu.Unlock()
	if ok && known {
		return sum, nil
	}
	hash := sha256.New()
	// Not the descriptor's own position: others read it too.
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", err
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	if after, _, still := identify(f); ok && (!still || after != id) {
		return "", errors.New("it changed while it was read")
	}
	if ok && time.Since(changed) > settled {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.known == nil || len(c.known) >= mostKnown {
			c.known = map[identity]string{}
		}
		c.known[id] = sum
	}
	return sum, nil
}

// program is the files of a command, open: the program and, if the first argument that is not an option names a file,
// that one, which is the script of an interpreter.
type program struct {
	path   string // of the program, as it was found
	files  []*os.File
	opened []os.FileInfo // the files as they were then
	script int           // the script's place among the command's words; 0: none
}

// openProgram finds and opens a command's files.
func openProgram(command []string) (*program, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return nil, &startError{whyNot(command[0], err)}
	}
	p := &program{path: path}
	if err := p.open(path); err != nil {
		return p, err
	}
	for at, word := range command[1:] {
		if strings.HasPrefix(word, "-") {
			continue
		}
		if info, err := os.Stat(word); err == nil && info.Mode().IsRegular() {
			p.script = at + 1
			return p, p.open(word)
		}
		break
	}
	return p, nil
}

// Of returns the checksums of the files that a command would start now, in the command's order. It starts nothing.
func (c *Checksums) Of(command []string) ([]Checksum, error) {
	p, err := openProgram(command)
	if p == nil {
		return nil, err
	}
	defer p.close()
	if err != nil {
		return nil, err
	}
	return p.checksums(c)
}

func (p *program) open(path string) error {
	f, err := os.Open(path)
	if err == nil {
		p.files = append(p.files, f)
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			p.opened = append(p.opened, info)
		}
	}
	return err
}

// outdated reports whether a command starts other files by now, or none, or the same ones with other contents.
func (p *program) outdated(command []string) bool {
	now, err := openProgram(command)
	if now == nil {
		return true
	}
	defer now.close()
	same := func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	}
	return err != nil || !slices.EqualFunc(p.opened, now.opened, same)
}

func (p *program) close() {
	for _, f := range p.files {
		_ = f.Close() // it was only read
	}
}

// checksums are the checksums of the files, in the order of the command.
func (p *program) checksums(c *Checksums) ([]Checksum, error) {
	var all []Checksum
	for _, f := range p.files {
		sum, err := c.of(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s for its checksum: %w", f.Name(), err)
		}
		all = append(all, Checksum{Path: f.Name(), SHA256: sum})
	}
	return all, nil
}

// pinError says why the files are not, or not certainly, the pinned ones.
type pinError struct{ err error }

func (e *pinError) Error() string { return e.err.Error() }

// check compares the files with the checksums that they should have.
func (p *program) check(c *Checksums, want []string) error {
	have, err := p.checksums(c)
	if err != nil {
		return &pinError{err}
	}
	if len(have) != len(want) {
		var paths, sums []string
		for _, h := range have {
			paths, sums = append(paths, h.Path), append(sums, h.SHA256)
		}
		return &pinError{
			fmt.Errorf("the command starts %s, of SHA-256 checksum %s, and the checksums pinned are %d in number: pin as "+
				"many, in this order", strings.Join(paths, " and "), strings.Join(sums, " and "), len(want))}
	}
	for at, h := range have {
		if !strings.EqualFold(h.SHA256, want[at]) {
			return &pinError{
				fmt.Errorf("%s has the SHA-256 checksum %s and is pinned to %s: install the build that is pinned, or pin this one",
					h.Path, h.SHA256, strings.ToLower(want[at]))}
		}
	}
	return nil
}
