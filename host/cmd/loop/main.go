// Command loop runs an oracle node and controls running ones.
package main

import (
	"fmt"
	"os"

	"github.com/loop-plugins/loop/host/internal/cli"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loophost/confine"
)

// The variables that hold secrets.
const (
	password = "CL_PASSWORD_KEYSTORE"
	token    = "LOOP_NODE_TOKEN"
)

func main() {
	values, err := confine.Seal(password, token)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loop: warning:", err)
	}
	environment := os.Environ()
	if t, set := values[token]; set {
		environment = append(environment, token+"="+string(t))
	}
	os.Exit(cli.Run(cli.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: environment, Password: values[password],
		Builtin: fallback.Plugins(),
	}))
}
