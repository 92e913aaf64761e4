package main

import "testing"

func TestAbsolute(t *testing.T) {
	t.Parallel()
	const site = "https://github.com/loop-plugins/loop/blob/v1.2.3/"
	for name, c := range map[string]struct{ dir, text, want string }{
		"a page":       {".", "[x](docs/a.md)", "[x](" + site + "docs/a.md)"},
		"its heading":  {".", "[x\ny](docs/a.md#b)", "[x\ny](" + site + "docs/a.md#b)"},
		"from below":   {"sdk/python", "[x](../../docs/a.md)", "[x](" + site + "docs/a.md)"},
		"a picture":    {".", "![x](a.svg)", "![x](https://raw.githubusercontent.com/loop-plugins/loop/v1.2.3/a.svg)"},
		"another site": {".", "[x](https://example.com/a)", "[x](https://example.com/a)"},
		"here":         {".", "[x](#b)", "[x](#b)"},
	} {
		if got := absolute(c.text, c.dir, "v1.2.3"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
