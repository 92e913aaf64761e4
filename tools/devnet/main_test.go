package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/tools/devnet/internal/session"
)

// TestWriteResult fixes the names that programs read.
func TestWriteResult(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	result := session.Result{Answers: []string{}, Error: "no"}
	if err := writeResult(&out, result, errors.New("no")); err == nil || err.Error() != "no" {
		t.Errorf("got error %v, want the session's", err)
	}
	if strings.Count(out.String(), "\n") != 1 || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("%q is not one line", out.String())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"answers", "chain", "duration_ms", "error", "first_transmission_ms", "in_process", "kills", "node_restarts", "nodes",
		"plugin_processes", "restarts", "rounds", "seed", "transmissions", "verified",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, name := range append(want, "product", "votes", "epochs", "lost", "failures", "resumed", "restored") {
		if !strings.Contains(long, name) {
			t.Errorf("the help says nothing of %s", name)
		}
	}
}

// TestOutputTellsThatNobodyReads writes into a pipe whose reader has gone, as head does after its last line.
func TestOutputTellsThatNobodyReads(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	gone := false
	out := output{writer, func() { gone = true }}
	go func() { _, _ = io.ReadFull(reader, make([]byte, 2)); _ = reader.Close() }()
	if _, err := out.Write([]byte("ok")); err != nil || gone {
		t.Errorf("a read line: error %v, gone %v", err, gone)
	}
	if _, err := out.Write([]byte("no")); err == nil || !gone {
		t.Errorf("a line that nobody reads: error %v, gone %v", err, gone)
	}
}

// TestHelpFitsATerminal holds that no line of the help is wider than a terminal beside another one.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	c := command(os.Stdout, os.Stderr)
	for line := range strings.Lines(c.Long + "\n" + c.UsageString()) {
		if utf8.RuneCountInString(line) > 101 {
			t.Errorf("a line of the help is wider than 100 columns: %s", line)
		}
	}
}

// TestFlagsOfDocuments holds that every flag that a document gives the devnet is there.
func TestFlagsOfDocuments(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d documents: %v", len(pages), err)
	}
	pages = append(pages, "README.md", filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	// In a span or a block of code, up to a comment or another command.
	called := regexp.MustCompile("(?m)(?:^(?:\\$ )?|`)(?:bin/)?devnet( [^\\n`#|&;]*)")
	given := regexp.MustCompile(` --([a-z0-9-]+)`)
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range called.FindAllStringSubmatch(string(text), -1) {
			for _, flag := range given.FindAllStringSubmatch(call[1], -1) {
				if found++; flag[1] != "help" && command(os.Stdout, os.Stderr).Flag(flag[1]) == nil {
					t.Errorf("%s has --%s, which is no flag: devnet%s", filepath.Base(page), flag[1], call[1])
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d flags; the pattern has lost them", found)
	}
}

// TestTimeoutGrowsWithTheWork checks how long a session may take if it is given no limit.
func TestTimeoutGrowsWithTheWork(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config session.Config
		want   time.Duration
	}{
		"no end":         {session.Config{Feeds: 100}, 0},
		"rounds":         {session.Config{Rounds: 20}, 2 * time.Minute},
		"kills that aim": {session.Config{Kills: 3, KillEvery: 5 * time.Second, Aim: true}, 2*time.Minute + 42*time.Second},
		"200 feeds":      {session.Config{Feeds: 200, Rounds: 2}, 2*time.Minute + 200*time.Second + 200*time.Second},
	} {
		if got := timeout(test.config); got != test.want {
			t.Errorf("%s: %s, not %s", name, got, test.want)
		}
	}
}
