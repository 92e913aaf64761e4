package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const (
	// initLimit is what one package may cost at the start of a process. The host launches plugins while jobs wait, and
	// a library that fills tables at init (120 ms in one that was tried) would be paid at every relaunch.
	initLimit = 5 * time.Millisecond
	// initRuns is how often each binary is started. What else a machine does only adds to a cost, so the least of the runs
	// comes nearest to it.
	initRuns = 7
	// initDeadline ends a binary that does not know --version and goes on running.
	initDeadline = 10 * time.Second
)

func checkInit(ctx context.Context, out io.Writer, binaries []string) ([]string, error) {
	var findings []string
	for _, binary := range binaries {
		var runs []map[string]time.Duration
		for range initRuns {
			costs, err := startOnce(ctx, binary)
			if err != nil {
				return nil, err
			}
			runs = append(runs, costs)
		}
		costs := least(runs)
		slowest := slowestOf(costs)
		fmt.Fprintf(out, "inittrace: %s initialises %d packages, the slowest, %s, in %v of %v\n", binary, len(costs), slowest,
			costs[slowest], initLimit)
		findings = append(findings, overLimit(binary, costs)...)
	}
	return findings, nil
}

// startOnce starts the binary with --version and returns what each of its packages cost to initialise.
func startOnce(ctx context.Context, binary string) (map[string]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, initDeadline)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "--version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		said := initLine.ReplaceAll(stderr.Bytes(), nil)
		return nil, fmt.Errorf("run %s --version: %w: %s", binary, err, bytes.TrimSpace(said))
	}
	costs := parseInitTrace(&stderr)
	if len(costs) == 0 {
		return nil, fmt.Errorf("run %s --version with GODEBUG=inittrace=1: it printed no trace, so it is not a Go program",
			binary)
	}
	return costs, nil
}

// initLine is a line of the runtime's trace: init PACKAGE @2.5 ms, 0.12 ms clock, 96 bytes, 2 allocs.
var initLine = regexp.MustCompile(`(?m)^init (\S+) @[0-9.]+ ms, ([0-9.]+) ms clock, .*\n?`)

func parseInitTrace(r io.Reader) map[string]time.Duration {
	costs := map[string]time.Duration{}
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		if fields := initLine.FindStringSubmatch(scanner.Text()); fields != nil {
			if milliseconds, err := strconv.ParseFloat(fields[2], 64); err == nil {
				costs[fields[1]] = time.Duration(milliseconds * float64(time.Millisecond))
			}
		}
	}
	return costs
}

// least returns the least cost of each package over the runs that name it.
func least(runs []map[string]time.Duration) map[string]time.Duration {
	costs := map[string]time.Duration{}
	for _, run := range runs {
		for pkg, cost := range run {
			if known, ok := costs[pkg]; !ok || cost < known {
				costs[pkg] = cost
			}
		}
	}
	return costs
}

func slowestOf(costs map[string]time.Duration) string {
	return slices.MaxFunc(sortedKeys(costs), func(a, b string) int { return int(costs[a] - costs[b]) })
}

func overLimit(binary string, costs map[string]time.Duration) []string {
	var findings []string
	for _, pkg := range sortedKeys(costs) {
		if costs[pkg] > initLimit {
			findings = append(findings,
				fmt.Sprintf("%s: initialising %s takes %v, more than %v: build its tables at first use, or do not link it", binary,
					pkg, costs[pkg], initLimit))
		}
	}
	return findings
}
