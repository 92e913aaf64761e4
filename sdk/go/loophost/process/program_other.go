//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// identity is not known outside Linux: there files are read at each start.
type identity struct{}

func identify(*os.File) (identity, time.Time, bool) { return identity{}, time.Time{}, false }

// startFrom leaves the paths: outside Linux a descriptor cannot be executed. unchanged looks at them again after the
// start.
func (*program) startFrom(*exec.Cmd) error { return nil }

// unchanged fails if the paths no longer lead to the files that were checked.
func (p *program) unchanged() error {
	for _, f := range p.files {
		now, err := os.Stat(f.Name())
		if err != nil {
			return &pinError{err}
		}
		if then, err := f.Stat(); err != nil || !os.SameFile(then, now) || then.ModTime() != now.ModTime() ||
			then.Size() != now.Size() {
			return &pinError{errors.New(f.Name() + " was replaced while it was started")}
		}
	}
	return nil
}
