package executable_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// TestWrite starts programs while others are written.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for writer := range 8 {
		all.Go(func() {
			for at := range 25 {
				path := filepath.Join(dir, fmt.Sprintf("%d-%d", writer, at))
				if err := executable.Write(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
					t.Error(err)
				} else if err := exec.CommandContext(t.Context(), path).Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
