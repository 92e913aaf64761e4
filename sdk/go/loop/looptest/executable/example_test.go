package executable_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/executable"
)

// A test starts a plugin that ends at once.
func ExampleWrite() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	plugin := filepath.Join(dir, "plugin")
	if err := executable.Write(plugin, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exec.Command(plugin).Run())
	// Output: exit status 3
}
