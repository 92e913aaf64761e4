package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// identity tells a content of a file from every other that the file had or will have.
type identity struct {
	device, inode uint64
	size          int64
	written       syscall.Timespec
	changed       syscall.Timespec // by the system's clock: nobody can set it back
}

// identify says what a file is and when it changed last.
func identify(f *os.File) (identity, time.Time, bool) {
	info, err := f.Stat()
	if err != nil {
		return identity{}, time.Time{}, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, time.Time{}, false
	}
	device := uint64(s.Dev) //nolint:unconvert // it has 32 bits on some platforms
	return identity{device, s.Ino, s.Size, s.Mtim, s.Ctim}, time.Unix(s.Ctim.Unix()), true
}

// firstInherited is the number that the first of a command's ExtraFiles has in the child.
const firstInherited = 3

// startFrom makes a command start the open files and not what lies at their paths by then. The child inherits them: an
// interpreter opens its script after it has begun.
func (p *program) startFrom(cmd *exec.Cmd) error {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return &pinError{
			errors.New("a file can be started as it was checked by /proc/self/fd alone, which is not there; mount /proc, or " +
				"pin nothing")}
	}
	cmd.ExtraFiles = p.files
	cmd.Path = fmt.Sprintf("/proc/self/fd/%d", firstInherited)
	if p.script > 0 {
		cmd.Args[p.script] = fmt.Sprintf("/proc/self/fd/%d", firstInherited+1)
	}
	return nil
}

// unchanged has nothing to look at: what was started is what was checked.
func (*program) unchanged() error { return nil }
