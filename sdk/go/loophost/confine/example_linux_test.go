package confine_test

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// A command starts as the plugin that it names, with what its level leaves it.
func ExampleConfinement_Prepare() {
	command := []string{"/bin/sh", "-c", "ulimit -n"}
	c, err := confine.New(confine.Needs{Command: command, Level: confine.Limits, Descriptors: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close() // after its last process
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	started, err := c.Prepare(confine.Launch{Cmd: cmd, Command: command, Program: command[0]})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cmd.Start())
	fmt.Println(started()) // it is confined, and is the plugin now
	fmt.Println(cmd.Wait())
	// Unordered output:
	// <nil>
	// <nil>
	// 64
	// <nil>
}
