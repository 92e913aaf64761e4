// Command loop runs an oracle node and speaks to running ones.
package main

import (
	"fmt"
	"os"

	"github.com/loop-plugins/loop/host/internal/cli"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// secrets are the variables that hold one.
var secrets = []string{"CL_PASSWORD_KEYSTORE", "LOOP_NODE_TOKEN"}

func main() {
	environment := os.Environ()
	if err := confine.Seal(secrets...); err != nil {
		fmt.Fprintln(os.Stderr, "loop: warning:", err)
	}
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: environment, Builtin: fallback.Plugins()}
	os.Exit(cli.Run(streams))
}
