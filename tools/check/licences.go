package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// accepted are the licences (SPDX identifiers) under which a module may be linked into an MIT program that is shipped
// as a binary with its source: they ask for a notice at most. MPL-2.0 asks for the source of its own files, unchanged
// here.
func accepted() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unlicense",
		"Zlib"}
}

// exceptions are modules that are accepted under exactly the licences found here, each with what makes them acceptable.
func exceptions() map[string]exception {
	return map[string]exception{
		"github.com/ethereum/go-ethereum": {
			found: []string{"GPL-3.0", "LGPL-3.0"},
			reason: "its libraries are under the LGPL, which allows linking where users can link anew, as anyone can from " +
				"this repository; its GPL commands are kept out by the imports check",
		},
		"github.com/gagliardetto/treeout": {
			found: nil,
			reason: "it has no licence of its own: solana-go, of the same author and under Apache-2.0, prints trees with it " +
				"and cannot be imported without; it leaves with the first release of solana-go that does",
		},
		"github.com/holiman/bloomfilter/v2": {
			found:  nil,
			reason: "it has no licence file, but the head of each of its source files places it under the MIT licence",
		},
	}
}

type exception struct {
	found  []string // sorted
	reason string   // printed when what is found has changed
}

func checkLicences(ctx context.Context, out io.Writer, binaries []string) ([]string, error) {
	linked := map[string]*debug.Module{}
	for _, binary := range binaries {
		modules, err := linkedModules(binary)
		if err != nil {
			return nil, err
		}
		for _, m := range modules {
			linked[m.Path+"@"+m.Version] = m
		}
	}
	if len(linked) == 0 {
		return nil, fmt.Errorf("find linked modules: %s link none, so there is nothing to judge",
			strings.Join(binaries, ", "))
	}
	folders, err := moduleFolders(ctx, sortedKeys(linked))
	if err != nil {
		return nil, err
	}

	var findings []string
	count := map[string]int{}
	for _, name := range sortedKeys(linked) {
		licences, err := licencesIn(folders[name])
		if err != nil {
			return nil, fmt.Errorf("find the licence of %s: %w", name, err)
		}
		for _, licence := range licences {
			count[licence]++
		}
		if finding := judge(linked[name].Path, licences); finding != "" {
			findings = append(findings, finding)
		}
	}
	fmt.Fprintf(out, "licences: %d modules:", len(linked))
	for _, licence := range sortedKeys(count) {
		fmt.Fprintf(out, " %s %d", licence, count[licence])
	}
	fmt.Fprintln(out)
	return findings, nil
}

// judge returns what is wrong with a module under these licences, or nothing.
func judge(path string, licences []string) string {
	under := strings.Join(licences, " and ")
	if under == "" {
		under = "no licence that is known here"
	}
	if exempt, ok := exceptions()[path]; ok {
		if slices.Equal(licences, exempt.found) {
			return ""
		}
		return fmt.Sprintf("%s is now under %s, which may undo why it is accepted: %s; read its licence and fix the "+
			"check, or drop the module", path, under, exempt.reason)
	}
	refused := func(licence string) bool { return !slices.Contains(accepted(), licence) }
	if len(licences) == 0 || slices.ContainsFunc(licences, refused) {
		return fmt.Sprintf("%s is under %s, which the project does not accept: drop the module, or state in the check why "+
			"it may stay", path, under)
	}
	return ""
}

// moduleFolders returns where the module cache holds each module, named path@version. It fetches none that a build of
// the binaries has not fetched already.
func moduleFolders(ctx context.Context, names []string) (map[string]string, error) {
	listed, err := output(ctx, "go", append([]string{"mod", "download", "-json"}, names...)...)
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var m struct{ Path, Version, Dir string }
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return folders, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go mod download printed: %w", err)
		}
		folders[m.Path+"@"+m.Version] = m.Dir
	}
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?licen[sc]e|^copying`)

// licencesIn names the licences of the files at the root of a module, sorted. Folders below it may hold others, of
// code that was copied in, and are not read.
func licencesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		found = append(found, classify(string(text))...)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// classify names the licences in a text by sentences that stand in each of them and in no other. It looks for words
// alone: a changed licence that keeps its sentences is not noticed.
func classify(text string) []string {
	words := strings.Join(regexp.MustCompile(`[a-z0-9.,-]+`).FindAllString(strings.ToLower(text), -1), " ")
	has := func(sentence string) bool { return strings.Contains(words, sentence) }
	var found []string
	add := func(id string, present bool) {
		if present {
			found = append(found, id)
		}
	}
	add("AGPL-3.0", has("gnu affero general public license version 3, 19 november 2007"))
	add("Apache-2.0", has("apache license version 2.0, january 2004") ||
		has("licensed under the apache license, version 2.0"))
	bsd := has("redistribution and use in source and binary forms")
	add("BSD-2-Clause", bsd && !has("to endorse or promote products"))
	add("BSD-3-Clause", bsd && has("to endorse or promote products"))
	add("BUSL-1.1", has("business source license 1.1"))
	add("CC0-1.0", has("cc0 1.0 universal"))
	add("GPL-2.0", has("gnu general public license version 2, june 1991"))
	add("GPL-3.0", has("gnu general public license version 3, 29 june 2007"))
	add("ISC", has("permission to use, copy, modify, and or distribute this software for any purpose") ||
		has("permission to use, copy, modify, and distribute this software for any purpose"))
	add("LGPL-2.1", has("gnu lesser general public license version 2.1, february 1999"))
	add("LGPL-3.0", has("gnu lesser general public license version 3, 29 june 2007"))
	mit := has("permission is hereby granted, free of charge, to any person obtaining a copy")
	notice := has("permission notice shall be included")
	add("MIT", mit && notice)
	add("MIT-0", mit && !notice)
	add("MPL-2.0", has("mozilla public license version 2.0") || has("mozilla public license, version 2.0"))
	add("Unlicense", has("this is free and unencumbered software released into the public domain"))
	add("Zlib", has("this software is provided as-is , without any express or implied warranty") ||
		has("this software is provided as-is, without any express or implied warranty"))
	return found
}
