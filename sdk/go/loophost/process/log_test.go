package process

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
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
