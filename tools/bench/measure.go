package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// benchmarked is the package whose benchmarks cross the boundary.
const benchmarked = "./sdk/go/loophost"

// results are the metrics of benchmarks, by name and unit.
type results map[string]map[string]float64

func (r results) get(f figure) (float64, bool) {
	v, ok := r[f.benchmark][f.metric]
	return v, ok
}

// build compiles the benchmarks of a working tree.
func build(ctx context.Context, tree, to string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", to, benchmarked)
	cmd.Dir = tree
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the benchmarks of %s: %w\n%s", tree, err, out)
	}
	return nil
}

// iterations is how many iterations of a benchmark give so many pairs. Standby and Feeds take long, and repeat what
// they measure within one iteration.
func iterations(name string, pairs int) int {
	if strings.HasPrefix(name, "Standby/") || strings.HasPrefix(name, "Feeds/") {
		return 1
	}
	return pairs
}

// measure runs benchmarks, each for so many iterations, and copies what they print.
func measure(ctx context.Context, program, tree, which string, iterations int, copyTo io.Writer) (results, error) {
	cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", which, "-test.benchtime",
		fmt.Sprintf("%dx", iterations))
	cmd.Dir = filepath.Join(tree, benchmarked)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&said, copyTo), os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running the benchmarks %s of %s: %w\n%s", which, tree, err, said.Bytes())
	}
	return parse(&said)
}

// parse reads what benchmarks print: a name, how many iterations, and values before their units.
func parse(r io.Reader) (results, error) {
	all := results{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if _, err := strconv.Atoi(fields[1]); err != nil {
			continue
		}
		metrics := map[string]float64{}
		for at := 2; at+1 < len(fields); at += 2 {
			v, err := strconv.ParseFloat(fields[at], 64)
			if err != nil {
				return nil, fmt.Errorf("%q is not a number in the line %q", fields[at], lines.Text())
			}
			metrics[fields[at+1]] = v
		}
		all[nameOf(fields[0])] = metrics
	}
	return all, lines.Err()
}

var processors = regexp.MustCompile(`-[0-9]+$`)

// nameOf is a benchmark's name without Benchmark and the number of processors, which is absent where that is one.
func nameOf(printed string) string {
	return processors.ReplaceAllString(strings.TrimPrefix(printed, "Benchmark"), "")
}

// pattern selects benchmarks for one process by -test.bench. It also selects names that mix parts of several of them.
func pattern(names []string) string {
	var levels [][]string
	for _, name := range names {
		for at, part := range strings.Split("Benchmark"+name, "/") {
			if at == len(levels) {
				levels = append(levels, nil)
			}
			if part = regexp.QuoteMeta(part); !slices.Contains(levels[at], part) {
				levels[at] = append(levels[at], part)
			}
		}
	}
	var parts []string
	for _, level := range levels {
		parts = append(parts, "^("+strings.Join(level, "|")+")$")
	}
	return strings.Join(parts, "/")
}

// benchmarks are those of the figures, each once.
func benchmarks(all []figure) (names []string) {
	for _, f := range all {
		if !slices.Contains(names, f.benchmark) {
			names = append(names, f.benchmark)
		}
	}
	return names
}

// root is the folder of the repository that this is run in.
func root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", errors.New("bench compares commits and runs in a clone of the repository: git rev-parse --show-toplevel " +
			"failed")
	}
	return strings.TrimSpace(string(out)), nil
}
