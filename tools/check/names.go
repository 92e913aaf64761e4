package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// chainName matches the names of the chains that LOOP has relayers of. The host serves any chain by what its relayer
// says: a name in it is knowledge that a chain which nobody has heard of would lack.
var chainName = regexp.MustCompile(`(?i)evm|solana|starknet|ethereum`)

// namesAllowed are where a name may stand all the same. A place is how a path begins; that of a folder ends in a slash.
// A pattern is cut out of each line before the line is searched.
var namesAllowed = []struct {
	place   string         // below the checkout; empty: anywhere in the host
	pattern *regexp.Regexp // nil: anything
	reason  string
}{
	{"host/internal/fallback/", nil, "the plugins that are built in"},
	{"host/go.mod", nil, "the modules of the plugins that are built in"},
	{"host/go.sum", nil, "the modules of the plugins that are built in"},
	{"host/internal/keystore/secp256k1.go", regexp.MustCompile(`github\.com/ethereum/go-ethereum/crypto`),
		"a library for secp256k1: where it is built with cgo it is in C, which recovers a signer five times as fast"},
	{"", regexp.MustCompile(`evmChainID`),
		"a key of job specs and an attribute of their tasks as established nodes have them"},
}

// checkNames reads every file of the host that git tracks or would add.
func checkNames(ctx context.Context, out io.Writer, _ []string) ([]string, error) {
	listed, err := output(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "host")
	if err != nil {
		return nil, err
	}
	var findings []string
	read := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			continue
		}
		content, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, but not yet from the index
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		read++
		findings = append(findings, namesIn(name, content)...)
	}
	fmt.Fprintf(out, "names: %d files of the host\n", read)
	return findings, nil
}

// namesIn returns each line of a file that names a chain.
func namesIn(name string, content []byte) []string {
	var cut []*regexp.Regexp
	for _, allowed := range namesAllowed {
		if !strings.HasPrefix(name, allowed.place) {
			continue
		}
		if allowed.pattern == nil {
			return nil
		}
		cut = append(cut, allowed.pattern)
	}
	if chainName.MatchString(name) {
		return []string{fmt.Sprintf("%s is named after a chain: %s", name, chainAdvice)}
	}
	var findings []string
	for at, line := range slices.Collect(bytes.Lines(content)) {
		for _, pattern := range cut {
			line = pattern.ReplaceAll(line, nil)
		}
		if found := chainName.Find(line); found != nil {
			findings = append(findings, fmt.Sprintf("%s:%d names %s: %s", name, at+1, found, chainAdvice))
		}
	}
	return findings
}

const chainAdvice = "have the relayer say it (DescribeRelayer, ValidateChain, ValidateJob), or if the word is no " +
	"chain's add it to namesAllowed in tools/check/names.go with the reason"
