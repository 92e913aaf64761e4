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
		_ = os.Unsetenv(name) // it fails for names alone that no variable has
		// The runtime's copy would lie in memory until something else does, which may be never. It is on the heap, where a
		// process that starts, and Setenv, make each variable's.
		clear(unsafe.Slice(unsafe.StringData(value), len(value)))
	}
	return values
}
