package main

import (
	"strings"
	"testing"
)

func TestExamplesOfPackages(t *testing.T) {
	t.Parallel()
	const with, without = "package a_test\n\nfunc ExampleA() {}\n", "package a\n\n// func Example is in a comment.\n"
	exceptions := map[string]string{"sdk/go/b": "a reason"}
	for name, c := range map[string]struct {
		files map[string]string
		finds string
	}{
		"an example":            {map[string]string{"sdk/go/a/a_test.go": with, "sdk/go/b/b.go": ""}, ""},
		"none":                  {map[string]string{"sdk/go/a/a.go": "", "sdk/go/b/b.go": ""}, "sdk/go/a has no Example"},
		"not a test":            {map[string]string{"sdk/go/a/a.go": with, "sdk/go/b/b.go": ""}, "sdk/go/a has no Example"},
		"an internal package":   {map[string]string{"sdk/go/internal/a/a.go": without, "sdk/go/b/b.go": ""}, ""},
		"in a comment":          {map[string]string{"sdk/go/a/a_test.go": without, "sdk/go/b/b.go": ""}, "sdk/go/a has no"},
		"an idle exception":     {map[string]string{"sdk/go/b/b_test.go": with}, "sdk/go/b has an Example"},
		"a forgotten exception": {map[string]string{}, "sdk/go/b is an exception"},
	} {
		files := map[string][]byte{}
		for file, content := range c.files {
			files[file] = []byte(content)
		}
		got := strings.Join(examplesIn(files, exceptions), "\n")
		if c.finds == "" && got != "" || !strings.Contains(got, c.finds) {
			t.Errorf("%s: found %q; want %q", name, got, c.finds)
		}
	}
}
