package main

import (
	"strings"
	"testing"
)

func TestLinksOfDocuments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, finds string }{
		"a page":              {"[x](b.md)", ""},
		"its heading":         {"[x](b.md#the-door-and-its-keys)", ""},
		"a heading here":      {"# Here we are\n[x](#here-we-are)", ""},
		"a file":              {"![x](../images/a.svg)", ""},
		"another site":        {"[x](https://example.com/a#b)", ""},
		"in code":             {"```\n[x](nowhere.md)\n```", ""},
		"no such page":        {"\n[x](c.md)", "docs/a.md:2 links to c.md, which is not there"},
		"no such heading":     {"[x](b.md#door)", "docs/b.md has no such heading"},
		"no such heading yet": {"```\n# Here\n```\n[x](#here)", "docs/a.md has no such heading"},
	} {
		pages := map[string]string{"docs/a.md": withoutCode(c.text), "docs/b.md": "## The `door`, and its keys\n"}
		exists := func(name string) bool { return name == "images/a.svg" }
		got := strings.Join(linksIn(pages, exists), "\n")
		if c.finds == "" && got != "" || !strings.Contains(got, c.finds) {
			t.Errorf("%s: found %q; want %q", name, got, c.finds)
		}
	}
}

func TestTargetsOfDocuments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Run `make build` and `make lint unit ARGS=-v`.": "",
		"make sense of it": "",
		"```sh\n$ make build   # a while\nmake unit\n# make it\n```": "",
		"\nRun `make lint nothing`.":                                 "a.md:2: the Makefile has no target nothing",
		"```\n$ make nothing\n```":                                   "a.md:2: the Makefile has no target nothing",
	} {
		got := strings.Join(targetsIn("a.md", text, map[string]bool{"build": true, "lint": true, "unit": true}), "\n")
		if got != want {
			t.Errorf("%q: found %q; want %q", text, got, want)
		}
	}
}
