// Package script replays what tests have happen to a state machine: the files testdata/*.txt. Each line is an event,
// and after => stands what must come of it. It must not know any machine.
package script

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the machines do into testdata")

// Replay holds a machine to every script. start makes a machine, which takes what stands before => and returns the
// whole line, with what came of it.
func Replay(t *testing.T, start func(t *testing.T) (happen func(event string) (line string))) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(string(b), start(t))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(b), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func replay(script string, happen func(event string) string) string {
	var out strings.Builder
	for s := bufio.NewScanner(strings.NewReader(script)); s.Scan(); {
		line := s.Text()
		if line != "" && line[0] != '#' {
			event, _, _ := strings.Cut(line, "=>")
			line = happen(strings.TrimSpace(event))
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}
