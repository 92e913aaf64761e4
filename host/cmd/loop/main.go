// Command loop runs an oracle node and speaks to running ones.
package main

import (
	"os"

	"github.com/loop-plugins/loop/host/internal/cli"
	"github.com/loop-plugins/loop/host/internal/fallback"
)

func main() {
	os.Exit(cli.Run(cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Builtin: fallback.Plugins()}))
}
