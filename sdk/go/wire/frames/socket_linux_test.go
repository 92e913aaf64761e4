package frames

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pairOfSockets is a connection over a unix socket, its first end with quick system calls.
func pairOfSockets(t *testing.T) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	a = quick(raw)
	if _, ok := a.(*socket); !ok {
		t.Fatalf("a socket of the system is a %T", a)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

func TestSocketWritesMoreThanItsBufferHas(t *testing.T) {
	t.Parallel()
	a, b := pairOfSockets(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	failed := make(chan error, 1)
	go func() {
		n, err := a.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		failed <- errors.Join(err, a.Close())
	}()
	got, err := io.ReadAll(b)
	if err = errors.Join(err, <-failed); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came, %v", len(got), len(sent), err)
	}
}

func TestSocketReads(t *testing.T) {
	t.Parallel()
	a, b := pairOfSockets(t)
	var buffer [4]byte
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
	read := make(chan string, 1)
	go func() { // it waits, and is woken
		n, err := a.Read(buffer[:])
		if err != nil {
			t.Error(err)
		}
		read <- string(buffer[:n])
	}()
	if _, err := b.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "abc" {
		t.Errorf("got %q", got)
	}
	_ = a.SetReadDeadline(time.Unix(1, 0))
	var named *net.OpError
	if _, err := a.Read(buffer[:]); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &named) || named.Op != "read" {
		t.Errorf("behind its deadline it fails by %v", err)
	}
	_ = a.SetReadDeadline(time.Time{})
	_ = b.Close()
	if n, err := a.Read(buffer[:]); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := a.Write([]byte("abc")); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &named) || named.Op != "write" {
		t.Errorf("to who has gone it writes: %v", err)
	}
	_ = a.Close()
	if _, err := a.Read(buffer[:]); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed it fails by %v", err)
	}
}

func TestSocketAllocatesNothing(t *testing.T) {
	a, b := pairOfSockets(t)
	out, in := []byte("abc"), make([]byte, 8)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(in); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations for a write and a read", n)
	}
}
