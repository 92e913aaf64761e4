package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func TestWhatATerminalIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ written, shown string }{
		"text":                    {"λ, tabs\tand lines\r\n", "λ, tabs\tand lines\r\n"},
		"a command":               {"\x1b[2J\x1b]0;title\x07", `\u001b[2J\u001b]0;title\u0007`},
		"a command in one byte":   {"\x9b2J", "\ufffd2J"},
		"a command in two bytes":  {"\u009b2J", `\u009b2J`},
		"to the line's beginning": {"refused\rallowed", `refused\u000dallowed`},
		"a backspace":             {"no\b\byes\x7f", `no\u0008\u0008yes\u007f`},
		"a change of direction":   {"\u202egnp.exe\u2066", `\u202egnp.exe\u2066`},
		"a line of another kind":  {"a\u2028b", `a\u2028b`},
	} {
		var whole, bytewise bytes.Buffer
		if n, err := io.WriteString(&printable{out: &whole}, c.written); n != len(c.written) || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		// A character in several pieces is shown the same. Only \r in a piece of its own is not taken for the end of a line.
		if _, err := io.Copy(&printable{out: &bytewise}, iotest.OneByteReader(strings.NewReader(c.written))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if whole.String() != c.shown || strings.ReplaceAll(bytewise.String(), `\u000d`+"\n", "\r\n") != c.shown {
			t.Errorf("%s is shown as %q and %q, want %q", name, whole.String(), bytewise.String(), c.shown)
		}
	}
	broken := &printable{out: writer(func([]byte) (int, error) { return 0, io.ErrClosedPipe })}
	if _, err := broken.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an output that fails gives %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// What a plugin says of itself makes no commands, rows or columns, and JSON stays JSON.
func TestHostilePluginInTables(t *testing.T) {
	t.Parallel()
	const hostile = "1.0\x1b[2J\u009b\nevm\tready\v\f\r\u202e"
	p := &nodev1.PluginStatus{
		Name: "evm" + hostile, Kind: hostile, Version: hostile, LastExit: hostile, LastStderr: []string{hostile},
		Objects: []*nodev1.ObjectStatus{{Name: hostile, Reason: hostile}}, Files: []*nodev1.PluginFile{{Path: hostile}},
	}
	j := &nodev1.Job{Name: hostile, Reason: hostile, ContractId: hostile, Type: hostile, Relay: hostile}
	for name, c := range map[string]struct {
		table func(io.Writer)
		lines int
	}{
		"plugins": {func(w io.Writer) { pluginTable(w, []*nodev1.PluginStatus{p}) }, 2},
		"plugin":  {func(w io.Writer) { pluginDetails(w, p) }, 14},
		"jobs":    {func(w io.Writer) { jobTable(w, j) }, 2},
	} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			command := &command{streams: Streams{Out: &printable{out: &out}}, json: asJSON}
			if err := command.show(p, c.table); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsFunc(out.String(), func(r rune) bool {
				return r != '\n' && unicode.IsControl(r) || r == '\u202e'
			}) {
				t.Errorf("%s: control characters reach the terminal: %q", name, out.String())
			}
			if lines := strings.Count(out.String(), "\n"); !asJSON && lines != c.lines {
				t.Errorf("%s: %d lines, want %d:\n%s", name, lines, c.lines, out.String())
			}
			var v struct{ Version string }
			if asJSON && (json.Unmarshal(out.Bytes(), &v) != nil || v.Version != hostile) {
				t.Errorf("%s: as JSON the version is %q", name, v.Version)
			}
		}
	}
}
