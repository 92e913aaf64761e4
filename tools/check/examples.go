package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
)

// example matches an Example test.
var example = regexp.MustCompile(`(?m)^func Example`)

// unexampled are exported packages of the SDK that need no Example, each with the reason.
var unexampled = map[string]string{
	"sdk/go/loophost/cgroup":        "loophost alone uses it, on a machine that delegates control groups",
	"sdk/go/loophost/confine/stage": "loophost/confine alone uses it, between fork and exec",
	"sdk/go/loophost/process":       "loophost alone starts plugins by it, with a plugin's program at hand",
	"sdk/go/relayer/relayertest":    "its functions take a testing.T, which an Example does not have",
	"sdk/go/wire/frames":            "loop and loophost choose this transport; docs/wire.md shows its bytes",
	"sdk/go/wire/inprocess":         "loophost and the test kit use it, for plugins inside their process",
}

// checkExamples checks that each exported package of the SDK has an Example test, which shows a newcomer its main use.
func checkExamples(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "sdk/go/*.go")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, but not yet from the index
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		files[name] = content
	}
	fmt.Fprintf(out, "examples: %d files\n", len(files))
	return examplesIn(files, unexampled), nil
}

// examplesIn returns each exported package of the files that has no Example, and each exception without effect.
func examplesIn(files map[string][]byte, exceptions map[string]string) []string {
	has := map[string]bool{}
	for name, content := range files {
		if dir := path.Dir(name); !strings.Contains(dir+"/", "/internal/") {
			has[dir] = has[dir] || strings.HasSuffix(name, "_test.go") && example.Match(content)
		}
	}
	var findings []string
	for _, dir := range sortedKeys(has) {
		switch {
		case has[dir] && exceptions[dir] != "":
			findings = append(findings, dir+" has an Example, and is an exception in tools/check/examples.go: remove it there")
		case !has[dir] && exceptions[dir] == "":
			findings = append(findings, dir+" has no Example test: write one that shows its main use, in example_test.go")
		}
	}
	for _, dir := range sortedKeys(exceptions) {
		if _, there := has[dir]; !there {
			findings = append(findings, dir+" is an exception in tools/check/examples.go, and is not a package: remove it there")
		}
	}
	return findings
}
