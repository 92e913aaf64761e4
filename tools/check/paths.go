package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// checkPaths reads every file that git tracks or would add, so that a path is found before it is committed.
func checkPaths(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the current folder: %w", err)
	}
	home, _ := os.UserHomeDir() // without one, there is no such path to find
	pattern := machinePath(here, home)

	var findings []string
	read := 0
	for name := range bytes.SplitSeq(bytes.TrimSuffix(listed, []byte{0}), []byte{0}) {
		info, err := os.Lstat(string(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed, but not yet from the index
		case err != nil:
			return nil, fmt.Errorf("look at %s: %w", name, err)
		case !info.Mode().IsRegular():
			continue
		}
		content, err := os.ReadFile(string(name))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		read++
		findings = append(findings, pathsIn(string(name), content, pattern)...)
	}
	fmt.Fprintf(out, "paths: %d files\n", read)
	return findings, nil
}

// machinePath matches folders in which people and build machines keep checkouts and homes, and the ones in use here.
// It wants no letter, digit, dot or slash before the path, which would make it part of a relative path or of a URL.
// The folder for temporary files is left out: it is the same on every machine, and documents name it.
func machinePath(folders ...string) *regexp.Regexp {
	places := `root|work|home/[\w.-]+|Users/[\w.-]+`
	for _, folder := range folders {
		if slashed := filepath.ToSlash(folder); len(slashed) > 1 {
			places += "|" + regexp.QuoteMeta(slashed[1:])
		}
	}
	return regexp.MustCompile(`(?:^|[^\w./~}-])(/(?:` + places + `)/[^\s"'` + "`" + `]*)`)
}

// inventedHome matches homes of nobody in particular, for tests and documents that need some home.
var inventedHome = regexp.MustCompile(`^/(?:home|Users)/(?:you|user|op|operator|nonroot)/`)

func pathsIn(name string, content []byte, pattern *regexp.Regexp) []string {
	if bytes.IndexByte(content, 0) >= 0 {
		return nil // not text
	}
	var findings []string
	number := 0
	for line := range bytes.Lines(content) {
		number++
		for _, found := range pattern.FindAllSubmatch(line, -1) {
			if !inventedHome.Match(found[1]) {
				findings = append(findings,
					fmt.Sprintf("%s:%d names %s, a path of one machine: make it relative, or take it from the environment", name,
						number, found[1]))
			}
		}
	}
	return findings
}
