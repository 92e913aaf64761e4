//go:build unix

package confine

import (
	"os"
	"unsafe"
)

// take takes variables out of this process's environment and returns the values of those that are set.
func take(names []string) map[string][]byte {
	values := map[string][]byte{}
	for _, name := range names {
		value, set := os.LookupEnv(name)
		if !set {
			continue
		}
		values[name] = []byte(value)
		_ = os.Unsetenv(name) // it fails only for names that no variable has
		// The runtime's copy would stay until its memory is used again, which may be never. It is on the heap, where the
		// start of a process, and Setenv, put a copy of each variable.
		clear(unsafe.Slice(unsafe.StringData(value), len(value)))
	}
	return values
}
