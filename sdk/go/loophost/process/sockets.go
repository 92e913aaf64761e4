package process

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	// longestSocketBase leaves room for the names below it within the 103 bytes that a unix socket's path may have on
	// every system: 18 for the host's folder (/loop-4194304-abcd), 8 for a process's, and 17 for the socket that go-plugin
	// names.
	longestSocketBase = 60

	// markName is a file that a host puts into its folder once it holds the lock, and markText is its content: only
	// folders with this file are swept.
	markName = "README"
	markText = "Sockets of a LOOP host. It holds a lock on this folder while it lives; when nobody does, the next host " +
		"removes it.\n"
)

// Sockets is a host's private folder for sockets, below a folder that hosts share. If something removes it while the
// host runs, it is made again for the next socket.
type Sockets struct {
	base, hint string

	mu      sync.Mutex
	dir     string
	held    *os.File // the folder, locked: other hosts let it stand, and so does systemd-tmpfiles
	folders int
	closed  bool
}

// NewSockets makes the folder below base (empty: XDG_RUNTIME_DIR, else TMPDIR, else /tmp) and removes those that killed
// hosts have left behind. The hint tells a person how to choose another base, such as "name another by
// XDG_RUNTIME_DIR".
func NewSockets(base, hint string) (*Sockets, error) {
	s := &Sockets{base: cmp.Or(base, os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()), hint: hint}
	if len(s.base) > longestSocketBase {
		return nil, fmt.Errorf("the folder for sockets %q is %d bytes long and may be %d, because a unix socket's path is "+
			"short; %s",
			s.base, len(s.base), longestSocketBase, s.hint)
	}
	if info, err := os.Stat(s.base); err != nil || !info.IsDir() {
		if err == nil {
			err = syscall.ENOTDIR
		}
		return nil, s.failed(err)
	}
	sweep(s.base)
	_, err := s.Dir()
	return s, err
}

func (s *Sockets) failed(err error) error {
	return fmt.Errorf("making a folder for sockets below %s: %w; %s", s.base, cause(err), s.hint)
}

// Dir returns the folder, and makes it again if it is gone. After Close there is none.
func (s *Sockets) Dir() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirLocked()
}

func (s *Sockets) dirLocked() (string, error) {
	if s.closed {
		return "", errEnded
	}
	if s.held != nil && stands(s.held, s.dir) {
		return s.dir, nil
	}
	s.release()
	// The base was there when the host started: if it is gone too, it was cleaned away like the host's folder.
	if err := os.MkdirAll(s.base, 0o700); err != nil {
		return "", s.failed(err)
	}
	dir, err := makeDir(s.base)
	if err != nil {
		return "", s.failed(err)
	}
	if s.held, err = lock(dir); err != nil {
		_ = os.Remove(dir)
		return "", s.failed(fmt.Errorf("locking %s: %w", dir, err))
	}
	s.dir = dir
	if err := os.WriteFile(filepath.Join(dir, markName), []byte(markText), 0o600); err != nil {
		_ = os.RemoveAll(dir)
		s.release()
		return "", s.failed(err)
	}
	return dir, nil
}

// folder makes a folder for the sockets of one process. A process of another user goes through the host's folder to it.
func (s *Sockets) folder(others bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // Close removes no folder in which one is just being made
	dir, err := s.dirLocked()
	if err != nil {
		return "", err
	}
	if others {
		if err := s.open(dir); err != nil {
			return "", err
		}
	}
	s.folders++
	dir = filepath.Join(dir, strconv.Itoa(s.folders))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", s.failed(err)
	}
	return dir, nil
}

// open lets other users through the folder, in which they can list nothing.
func (s *Sockets) open(dir string) error {
	if err := os.Chmod(dir, 0o711); err != nil {
		return s.failed(err)
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return s.failed(err)
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("a plugin with a user of its own cannot go through %s (mode %#o) to its sockets; %s", above,
				info.Mode().Perm(), s.hint)
		}
		if above == filepath.Dir(above) {
			return nil
		}
	}
}

// remove removes the folder of one process, whose rest goes with the host's. After Close it removes that too, if it is
// empty by now: Close cannot while a start under way makes something in it.
func (s *Sockets) remove(folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = os.RemoveAll(folder)
	if s.closed {
		_ = os.Remove(filepath.Dir(folder))
	}
}

// Close removes the folder. It is not made again.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.held != nil && stands(s.held, s.dir) {
		_ = os.RemoveAll(s.dir) // a folder that stays is swept by the next host
	}
	s.release()
}

func (s *Sockets) release() {
	if s.held != nil {
		_ = s.held.Close() // and with it the lock
		s.held = nil
	}
}

// makeDir makes a folder of a short name. The process's id in it is only for people: it says nothing in another
// namespace.
func makeDir(base string) (string, error) {
	for tries := 0; ; tries++ {
		dir := filepath.Join(base, fmt.Sprintf("loop-%d-%s", os.Getpid(), strings.ToLower(rand.Text()[:4])))
		err := os.Mkdir(dir, 0o700)
		if err == nil || !errors.Is(err, fs.ErrExist) || tries == 100 {
			return dir, err
		}
	}
}

// stands reports whether the path still leads to the folder.
func stands(folder *os.File, path string) bool {
	now, err := os.Lstat(path)
	if err != nil {
		return false
	}
	then, err := folder.Stat()
	return err == nil && os.SameFile(then, now)
}

// lock locks a folder, unless somebody else has.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the folders of hosts that are gone: those that bear the mark, belong to this user, and are locked by
// nobody. A host locks its folder before it marks it, so that one that is being made is left alone.
func sweep(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, "loop-*-*"))
	if err != nil {
		return // the base has characters that mean something to Glob: nothing is swept there
	}
	for _, dir := range dirs {
		if !marked(dir) {
			continue
		}
		if f, err := lock(dir); err == nil {
			if stands(f, dir) {
				_ = os.RemoveAll(dir)
			}
			_ = f.Close()
		}
	}
}

// marked reports whether a host of this user made a folder.
func marked(dir string) bool {
	for _, path := range []string{dir, filepath.Join(dir, markName)} {
		info, err := os.Lstat(path)
		if err != nil {
			return false
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
			return false
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, markName))
	return err == nil && string(text) == markText
}
