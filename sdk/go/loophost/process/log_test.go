package process

import (
	"bytes"
	"encoding/json"
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

// No attribute of a plugin's has a name of the host's: a host's record has each of its own names once, in JSON and in
// text, whatever the case, and other attributes keep their names.
func TestHostsNamesAreTheHosts(t *testing.T) {
	t.Parallel()
	const line = `{"time":"x","level":"WARN","msg":"audit","plugin":"evm","Plugin":"evm","audit":{"method":"RemoveJob"},` +
		`"AUDIT":1,"audit.who.uid":0,"job":7,"source":"x","LEVEL":"ERROR","Time":"x","Msg":"x","plugin.job":1,` +
		`"generation":3,"object":"chain","auditor":"a","jobs":2,"chain.job":4}`
	log := func(handler func(io.Writer) slog.Handler) string {
		var out bytes.Buffer
		readLog(strings.NewReader(line+"\n"), slog.New(handler(&out)).With("plugin", "median"), &tail{})
		return out.String()
	}
	inJSON := log(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	for key, want := range map[string]int{
		"time": 1, "level": 1, "msg": 1, "plugin": 1, "audit": 0, `audit\.[a-z.]*`: 0, "job": 0, "source": 0,
	} {
		if n := len(regexp.MustCompile(`(?i)"`+key+`":`).FindAllString(inJSON, -1)); n != want {
			t.Errorf("the record has %d of %q, want %d: %s", n, key, want, inJSON)
		}
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(inJSON), &record); err != nil {
		t.Fatal(err)
	}
	if record["plugin"] != "median" || record["level"] != "WARN" || record["msg"] != "audit" {
		t.Errorf("the record is of %v, %v, %v", record["plugin"], record["level"], record["msg"])
	}
	for _, key := range []string{"generation", "object", "auditor", "jobs", "chain.job", "plugin.plugin", "plugin.Plugin",
		"plugin.audit", "plugin.AUDIT", "plugin.audit.who.uid", "plugin.job", "plugin.source", "plugin.plugin.job"} {
		if _, found := record[key]; !found {
			t.Errorf("the record has no %q: %s", key, inJSON)
		}
	}
	inText := log(func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
	if forged := regexp.MustCompile(`(?i) (audit|job|source)[.=]`).FindString(inText); forged != "" {
		t.Errorf("the plugin writes %q: %s", forged, inText)
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
