// Check enforces rules of the project that no compiler knows: the direction of imports, what a binary may link, the
// cost of its packages at start, the licences of dependencies, that the host knows no chain, the length of lines, files
// and functions, that links in documents lead somewhere, that packages have examples, and that no committed file names
// a path of one machine. It checks packages, binaries and files from outside and imports nothing of the product. `make
// lint` and `make binaries` run it from the root of the checkout.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

// module is the import path that every module of the workspace begins with.
const module = "github.com/loop-plugins/loop"

// check is one subcommand. run prints what it looked at to out and returns what it found wrong, one sentence each;
// its error means that the check itself could not be made.
type check struct {
	args  string
	about string
	run   func(ctx context.Context, out io.Writer, args []string) ([]string, error)
}

func checks() map[string]check {
	return map[string]check{
		"imports": {"", "imports run proto, gen, sdk, plugins, host and never back", checkImports},
		"names": {"", "the host names no chain but in its fallback, its tests and a few places with a reason",
			checkNames},
		"paths":    {"", "no file of the checkout names a path of one machine", checkPaths},
		"docs":     {"", "links between documents lead to files and headings that are there", checkDocs},
		"examples": {"", "each exported package of the SDK has an Example test", checkExamples},
		"shape":    {"", "lines, files and functions are as long as a reader can take in", checkShape},
		"links":    {"BINARY...", "binaries link no module that they promise to do without", checkLinks},
		"licences": {"BINARY...", "every module linked into the binaries has a licence that the project accepts",
			checkLicences},
		"inittrace": {"BINARY...", "no package linked into the binaries is slow to initialise", checkInit},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Stdout, os.Stderr, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 when the check holds, 1 when it found something or could not be made, 2 for wrong usage.
func run(ctx context.Context, stdout, stderr io.Writer, args []string) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	name, args := args[0], args[1:]
	chosen, known := checks()[name]
	switch {
	case !known:
		fmt.Fprintf(stderr, "There is no check named %q; choose one of these:\n", name)
		usage(stderr)
		return 2
	case (chosen.args == "") != (len(args) == 0):
		fmt.Fprintf(stderr, "The check was called with %d arguments; call it as: check %s %s\n", len(args), name, chosen.args)
		return 2
	}
	findings, err := chosen.run(ctx, stdout, args)
	if err != nil {
		fmt.Fprintf(stderr, "The check %q could not be made: %v.\n", name, err)
		return 1
	}
	for _, finding := range findings {
		fmt.Fprintf(stderr, "%s: %s\n", name, finding)
	}
	if len(findings) > 0 {
		return 1
	}
	return 0
}

func usage(w io.Writer) {
	for _, name := range sortedKeys(checks()) {
		c := checks()[name]
		fmt.Fprintf(w, "  check %-22s %s\n", strings.TrimSpace(name+" "+c.args), c.about)
	}
}

// output runs a command and returns what it wrote to standard output. What it wrote to standard error goes into the
// error, since that is where go and git say what is wrong.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args[:min(len(cmd.Args), 4)], " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
