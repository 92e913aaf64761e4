package main

import (
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/tools/chaos/internal/boundary"
	"github.com/loop-plugins/loop/tools/chaos/internal/network"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []trial.Trial{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for only, want := range map[string][]string{"": {"a", "b", "c"}, "c,a": {"a", "c"}} {
		var asked []string
		if only != "" {
			asked = strings.Split(only, ",")
		}
		got, err := choose(all, asked)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, names(got)); d != "" {
			t.Errorf("%s: %s", only, d)
		}
	}
	if _, err := choose(all, []string{"d"}); err == nil || err.Error() != `there is no trial "d"; there are a, b, c` {
		t.Errorf("got %v", err)
	}
}

// TestNames checks that all trials have different names: a page's rows are found by them.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, x := range append(boundary.Bench{}.Trials(), network.Bench{}.Trials()...) {
		if seen[x.Name] || x.Name == "" || x.Fault == "" || x.Established == "" || x.Run == nil {
			t.Errorf("%+v", x)
		}
		seen[x.Name] = true
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{"--only none": `there is no trial "none"`, "extra": "unknown command"} {
		c := command(io.Discard, io.Discard)
		c.SetArgs(strings.Fields(args))
		if err := c.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestHelpFitsATerminal holds that no line of the help is wider than a terminal beside another one.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	c := command(io.Discard, io.Discard)
	for line := range strings.Lines(c.Long + "\n" + c.UsageString()) {
		if utf8.RuneCountInString(line) > 101 {
			t.Errorf("a line of the help is wider than 100 columns: %s", line)
		}
	}
}
