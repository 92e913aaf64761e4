// Package executable writes the programs that tests start: scripts, and copies of others.
package executable

import (
	"os"
	"syscall"
)

// Write writes a program that can be started as soon as Write returns, as [os.WriteFile] writes a file.
//
// [os.WriteFile] is not enough where tests run beside one another. A process that one of them starts has all files of
// this one, until it has become its own program. Whoever starts a program that is still open for writing there is
// refused: the text file is busy.
func Write(path string, content []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, mode)
}
