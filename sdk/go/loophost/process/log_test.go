package process

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinesAreDocumented reads the examples of docs/contract.md as a host does: a line, its level and its message.
func TestLinesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Logs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `(.+)` \\| ([A-Z0-9+-]+) \\| `(.+)` \\|$").FindAllStringSubmatch(section, -1)
	if len(rows) < 5 {
		t.Fatalf("docs/contract.md has %d examples of lines; it has lost its table", len(rows))
	}
	for _, row := range rows {
		if level, message, _ := parse(row[1]); level.String() != row[2] || message != row[3] {
			t.Errorf("docs/contract.md reads %s as %s %q; a host reads %s %q", row[1], row[2], row[3], level, message)
		}
	}
}

// TestAttributes checks that a line's attributes are logged as the plugin has written them, in one order.
func TestAttributes(t *testing.T) {
	t.Parallel()
	_, message,
		attrs := parse(`{"msg":"waits","took":"1.5s","block":22000000,"wei":1000000000000000000001,"share":0.5,"a":null}`)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).LogAttrs(t.Context(), slog.LevelInfo, message, attrs...)
	_, got, _ := strings.Cut(strings.TrimSpace(log.String()), "msg=")
	if want := "waits a=<nil> block=22000000 share=0.5 took=1.5s wei=1000000000000000000001"; got != want {
		t.Errorf("the line is %s, want %s", got, want)
	}
}

// said is a log that is read while others write it.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take returns what was written since the last time.
func (s *said) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

// A plugin writes so many lines a second into the log. How many it has not is said a second later, or when it ends.
func TestLogLinesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log said
		stderr, plugin := io.Pipe()
		var read sync.WaitGroup
		read.Go(func() { readLog(stderr, slog.New(slog.NewTextHandler(&log, nil)), &tail{}) })
		for _, step := range []struct {
			lines int
			after time.Duration
			want  string
		}{
			{lines: linesPerSecond + 7}, // of which nothing is said yet
			{after: time.Second, want: "lines=7 limitPerSecond=500"},
			{lines: linesPerSecond + 3},
		} {
			_, err := io.WriteString(plugin, strings.Repeat("a line\n", step.lines))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(step.after)
			synctest.Wait()
			text := log.take()
			lines, told := strings.Count(text, "a line"), strings.Contains(text, "dropped")
			if lines != min(step.lines, linesPerSecond) || told != (step.want != "") || !strings.Contains(text, step.want) {
				t.Errorf("of %d lines %d are logged, and what else is told wants %q: %t", step.lines, lines, step.want, told)
			}
		}
		if err := plugin.Close(); err != nil {
			t.Fatal(err)
		}
		read.Wait()
		if text := log.take(); !strings.Contains(text, "lines=3 limitPerSecond=500") {
			t.Errorf("when it ends is told %q", text)
		}
	})
}
