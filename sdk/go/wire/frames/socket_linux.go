package frames

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket is a connection that does not tell Go's scheduler of its system calls. Each that the scheduler is told of
// wakes its monitor, a thread that sleeps while the process has nothing to do, as between two calls: with one caller
// that cost as much as the rest of the call. The monitor is for system calls that block. These do not: the descriptor
// never waits, and one record of TLS is all that is copied.
type socket struct {
	net.Conn
	raw     syscall.RawConn
	in, out transfer // TLS reads, and writes, one at a time
}

// transfer is what one read or write has to do and has done. It is in one piece with its function, so that none costs
// an allocation.
type transfer struct {
	bytes []byte
	done  int
	errno syscall.Errno
	step  func(descriptor uintptr) (ended bool)
}

// quick returns the connection with such calls, if it is one of the system's.
func quick(nc net.Conn) net.Conn {
	c, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nc // it is closed, and says so itself
	}
	s := &socket{Conn: nc, raw: raw}
	s.in.step, s.out.step = s.in.read, s.out.write
	return s
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := s.in.through(b, s.raw.Read)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, s.named("read", err)
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	n, err := s.out.through(b, s.raw.Write)
	return n, s.named("write", err)
}

// through makes package net wait for the descriptor as often as it takes.
func (t *transfer) through(b []byte, wait func(func(uintptr) bool) error) (int, error) {
	t.bytes, t.done, t.errno = b, 0, 0
	err := wait(t.step)
	t.bytes = nil
	if err == nil && t.errno != 0 {
		err = t.errno
	}
	return t.done, err
}

func (t *transfer) read(descriptor uintptr) bool {
	t.done, t.errno = untold(syscall.SYS_READ, descriptor, t.bytes)
	return t.errno != syscall.EAGAIN
}

func (t *transfer) write(descriptor uintptr) bool {
	for t.done < len(t.bytes) {
		var n int
		n, t.errno = untold(syscall.SYS_WRITE, descriptor, t.bytes[t.done:])
		t.done += n
		if t.errno != 0 {
			return t.errno != syscall.EAGAIN
		}
	}
	return true
}

// named is an error as package net says it.
func (s *socket) named(what string, err error) error {
	switch e := err.(type) { //nolint:errorlint // a call of its own, or one of package net: neither is wrapped
	case syscall.Errno:
		return &net.OpError{Op: what, Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(),
			Err: os.NewSyscallError(what, e)}
	case *net.OpError:
		e.Op = what // of a call of its own it would be raw-read
	}
	return err
}
