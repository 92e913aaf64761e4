// Command loop runs an oracle node and speaks to running ones.
package main

import (
	"fmt"
	"os"

	"github.com/loop-plugins/loop/host/internal/cli"
)

func main() {
	err := cli.New(cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ()}).Execute()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
	}
	os.Exit(cli.ExitCode(err))
}
