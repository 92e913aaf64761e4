package process

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// remains is the pipe of a process. When the time that drain gives is over, it still gives what is in the pipe by then,
// which on a busy machine nobody may have read: no more than a pipe holds, since another process may go on writing.
type remains struct {
	*os.File
	late bool
	left int
}

// pipeSize is how much a pipe of Linux holds.
const pipeSize = 64 << 10

func (r *remains) Read(p []byte) (int, error) {
	if !r.late {
		n, err := r.File.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		r.late, r.left = true, pipeSize
	}
	raw, err := r.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	if err := raw.Control(func(fd uintptr) { // a pipe that os.File polls never waits
		n, _ = syscall.Read(int(fd), p[:min(len(p), r.left)])
	}); err != nil || n <= 0 {
		return 0, io.EOF
	}
	r.left -= n
	return n, nil
}
