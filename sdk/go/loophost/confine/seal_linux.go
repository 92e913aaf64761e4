package confine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Seal closes this process to other processes of its user: they can read neither its memory nor its open files, and it
// leaves no core. Seal also removes the named variables, which are secrets, from the environment. Only the caller has
// their values, by name, and should overwrite them after use. Code that has read them before, such as os.Environ, keeps
// zeros.
func Seal(secrets ...string) (map[string][]byte, error) {
	// Once the process is sealed, /proc/self/mem belongs to root.
	erased := erase(secrets)
	return take(secrets), errors.Join(erased, seal())
}

func seal() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing this process to others of its user (PR_SET_DUMPABLE): %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	return nil
}

// erase overwrites the values of variables where the kernel put them when the process began, which /proc/PID/environ
// shows for as long as the process lives.
func erase(names []string) error {
	if !slices.ContainsFunc(names, func(name string) bool { _, set := os.LookupEnv(name); return set }) {
		return nil
	}
	file, err := os.Open("/proc/self/environ")
	if err != nil {
		return nil // without /proc nobody reads it there
	}
	defer func() { _ = file.Close() }() // it was only read
	e, length, ok := whereEnvironment()
	if !ok {
		return errors.New("erasing secrets from this process's environment: /proc/self/stat does not say where it is")
	}
	// Every variable but the first comes after the end of another one. This copy of them all is cleared like the others.
	environment := make([]byte, length)
	defer clear(environment)
	if _, err := io.ReadFull(file, environment); err != nil {
		return fmt.Errorf("erasing secrets from this process's environment: %w", err)
	}
	var memory *os.File
	for _, name := range names {
		at := valueOf(environment, name)
		if at < 0 {
			continue
		}
		length := bytes.IndexByte(environment[at:], 0)
		if length < 0 {
			length = len(environment) - at
		}
		if memory == nil {
			if memory, err = os.OpenFile("/proc/self/mem", os.O_WRONLY, 0); err != nil {
				return fmt.Errorf("erasing secrets from this process's environment: %w", err)
			}
			defer func() { _ = memory.Close() }() // a write to memory is done when it returns
		}
		if _, err := io.Copy(io.NewOffsetWriter(memory, e+int64(at)), bytes.NewReader(make([]byte, length))); err != nil {
			return fmt.Errorf("erasing secrets from this process's environment: %w", err)
		}
	}
	return nil
}

// valueOf is where the value of a variable begins; -1 if it is not there.
func valueOf(environment []byte, name string) int {
	key := []byte(name + "=")
	if bytes.HasPrefix(environment, key) {
		return len(key)
	}
	if at := bytes.Index(environment, append([]byte{0}, key...)); at >= 0 {
		return at + 1 + len(key)
	}
	return -1
}

// whereEnvironment is the address and the length of the environment, by the fields 50 and 51 of proc_pid_stat(5).
func whereEnvironment() (address, length int64, ok bool) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 49 {
		return 0, 0, false
	}
	var end int64
	_, err = fmt.Sscan(string(fields[50-3])+" "+string(fields[51-3]), &address, &end)
	return address, end - address, err == nil && address > 0 && end >= address
}
