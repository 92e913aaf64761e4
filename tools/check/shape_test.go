package main

import (
	"strings"
	"testing"
)

func TestShape(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 110)
	body := func(lines int) string { return "func f() {\n" + strings.Repeat("\tf()\n", lines-2) + "}\n" }
	for name, c := range map[string]struct{ file, content, finds string }{
		"120 columns":                  {"a.go", "var a = " + strings.Repeat("x", 112), ""},
		"121 columns":                  {"a.go", "var a = " + strings.Repeat("x", 113), "a.go:3 is over 120 columns"},
		"letters of two bytes":         {"a.go", "var a = " + strings.Repeat("ä", 112), ""},
		"a comment":                    {"a.go", "// " + long + " " + long, "a.go:3 is over"},
		"a raw string":                 {"a.go", "var a = `" + long + " " + long + "`", ""},
		"a raw string's second line":   {"a.go", "var a = `\n" + long + " " + long + "`", ""},
		"code behind a raw string":     {"a.go", "var a = f(`x`, " + long + ", y)", "a.go:3 is over"},
		"a quoted string":              {"a.go", `var a = "` + long + ` ` + long + `"`, "a.go:3 is over"},
		"a quoted string of one word":  {"a.go", `var a = "` + long + long + `"`, ""},
		"a function of 70 lines":       {"a.go", body(70), ""},
		"a function of 71 lines":       {"a.go", body(71), "a.go:3: f has 71 lines"},
		"a function of tests":          {"a_test.go", body(71), ""},
		"a file of 501 lines":          {"a.go", strings.Repeat("\n", 499), "a.go has 501 lines"},
		"a file of tests":              {"a_test.go", strings.Repeat("\n", 499), ""},
		"a long file without a reason": {"a.go", "// Over 500 lines:\n" + strings.Repeat("\n", 499), "a.go has 50"},
	} {
		got := strings.Join(shapeOf(c.file, []byte("package x\n\n"+c.content)), "\n")
		if c.finds == "" && got != "" || !strings.Contains(got, c.finds) {
			t.Errorf("%s: found %q; want %q", name, got, c.finds)
		}
	}
	reason := "// Over 500 lines: one table.\n\npackage x\n" + strings.Repeat("\n", 500)
	if found := shapeOf("a.go", []byte(reason)); found != nil {
		t.Errorf("a long file with a reason: %q", found)
	}
}
