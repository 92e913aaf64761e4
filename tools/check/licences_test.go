package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	redistribution := "Redistribution and use in source and binary\n// forms, with or without modification, are " +
		"permitted. "
	granted := "Permission is hereby granted, free of charge,\n\tto any person obtaining a copy of this software. "
	notice := "The above copyright notice and this permission notice shall be included in all copies."
	cases := map[string]struct {
		text string
		want []string
	}{
		"MIT":                {granted + notice, []string{"MIT"}},
		"MIT without notice": {granted, []string{"MIT-0"}},
		"two clauses":        {redistribution, []string{"BSD-2-Clause"}},
		"three clauses":      {redistribution + "may be used to endorse or promote products", []string{"BSD-3-Clause"}},
		"Apache":             {"  Apache License\n  Version 2.0, January 2004", []string{"Apache-2.0"}},
		"MPL":                {"Mozilla Public License, version 2.0", []string{"MPL-2.0"}},
		"ISC": {"Permission to use, copy, modify, and/or distribute this software for any purpose",
			[]string{"ISC"}},
		"GPL":             {"GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", []string{"GPL-3.0"}},
		"LGPL":            {"GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", []string{"LGPL-3.0"}},
		"AGPL":            {"GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007", []string{"AGPL-3.0"}},
		"business source": {"Business Source License 1.1", []string{"BUSL-1.1"}},
		"several":         {granted + notice + redistribution, []string{"BSD-2-Clause", "MIT"}},
		"unknown":         {"All rights reserved.", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, classify(c.text)); diff != "" {
				t.Errorf("licences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path     string
		licences []string
		want     string // words of the finding; none for an accepted module
	}{
		"accepted":     {"example.org/a", []string{"MIT"}, ""},
		"two accepted": {"example.org/a", []string{"Apache-2.0", "BSD-3-Clause"}, ""},
		"none": {"example.org/a", nil,
			"example.org/a is under no licence that is known here, which the project does not accept"},
		"refused":        {"example.org/a", []string{"AGPL-3.0"}, "example.org/a is under AGPL-3.0"},
		"one is refused": {"example.org/a", []string{"BUSL-1.1", "MIT"}, "example.org/a is under BUSL-1.1 and MIT"},
		"exception":      {"github.com/ethereum/go-ethereum", []string{"GPL-3.0", "LGPL-3.0"}, ""},
		"exception changed": {"github.com/ethereum/go-ethereum", []string{"GPL-3.0"},
			"is now under GPL-3.0, which may undo why it is accepted: its libraries are under the LGPL"},
		"none, excepted":  {"github.com/holiman/bloomfilter/v2", nil, ""},
		"not for another": {"example.org/go-ethereum", []string{"LGPL-3.0"}, "is under LGPL-3.0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judge(c.path, c.licences)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("judge(%q, %q) = %q, want %q", c.path, c.licences, got, c.want)
			}
		})
	}
}

func TestLicencesInReadsLicenceFilesAtTheRootAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"LICENSE.md":       "Mozilla Public License, version 2.0",
		"COPYING":          "GNU General Public License Version 2, June 1991",
		"README":           "Business Source License 1.1",
		"vendored/LICENSE": "Business Source License 1.1",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := licencesIn(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GPL-2.0", "MPL-2.0"}, got); diff != "" {
		t.Errorf("licences (-want +got):\n%s", diff)
	}
}
