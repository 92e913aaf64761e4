package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
)

// link forbids a module in binaries.
type link struct {
	binaries string // pattern of their file names
	module   string
	reason   string
}

func linkRules() []link {
	return []link{
		{"loop-median", "github.com/ethereum/go-ethereum",
			"the median is for every chain, and go-ethereum would bring its size, its start-up cost and its licence"},
		{"loop-*", "modernc.org/sqlite", "only the host keeps a database: plugins store through it"},
		{"loop-*", "buf.build/go/protovalidate", "it adds 10 MB, and plugins are called by their host alone"},
	}
}

func checkLinks(_ context.Context, out io.Writer, binaries []string) ([]string, error) {
	var findings []string
	for _, binary := range binaries {
		linked, err := linkedModules(binary)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "links: %s links %d modules\n", binary, len(linked))
		findings = append(findings, forbidden(filepath.Base(binary), linked, linkRules())...)
	}
	return findings, nil
}

func forbidden(binary string, linked []*debug.Module, rules []link) []string {
	var findings []string
	for _, r := range rules {
		if _, matched := match(r.binaries, binary); !matched {
			continue
		}
		for _, dep := range linked {
			if dep.Path == r.module {
				findings = append(findings, fmt.Sprintf("%s links %s: %s", binary, dep.Path, r.reason))
			}
		}
	}
	return findings
}

// linkedModules reads from a binary the modules that packages were linked from, other than this project's own.
func linkedModules(binary string) ([]*debug.Module, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read which modules %s links (make build builds it): %w", binary, err)
	}
	return foreign(info.Deps), nil
}

// foreign leaves out the project's own modules and puts in place of each replaced module what replaces it.
func foreign(deps []*debug.Module) []*debug.Module {
	var modules []*debug.Module
	for _, dep := range deps {
		if _, own := match(module+"/...", dep.Path); own {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		modules = append(modules, dep)
	}
	return modules
}
