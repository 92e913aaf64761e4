package process

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/loop-plugins/loop/sdk/go/wire"
)

// counted is a handler that checks that a log can take each record.
type counted struct {
	t       *testing.T
	records atomic.Int64
}

func (c *counted) Enabled(context.Context, slog.Level) bool { return true }
func (c *counted) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *counted) WithGroup(string) slog.Handler            { return c }

func (c *counted) Handle(_ context.Context, r slog.Record) error {
	c.records.Add(1)
	if len(r.Message) > longestLogLine {
		c.t.Errorf("a message has %d bytes", len(r.Message))
	}
	return slog.NewJSONHandler(&bytes.Buffer{}, nil).Handle(context.Background(), r)
}

// Whatever a plugin writes to its stderr, there is at most one record for each line, and the last lines are kept as
// text.
func FuzzStderr(f *testing.F) {
	for _, seed := range []string{
		"", "\n\n", "plain\r\n", "panic: runtime error\n\ngoroutine 1 [running]:\n", "no end", "\xff\xfe\x1b[2J\u202e\n",
		`{"@message":1}` + "\n", `{"msg":"m","level":"trace","n":{"a":[1,null]}}` + "\n", `{"@level":"fatal","@message":"m"}`,
		`{"time":1,"level":7,"msg":""}`, `{"msg":"a","msg":"b"}`, "{\n}\n{", `{"message":"\ud800"}`,
		strings.Repeat("x", longestLogLine+2) + "\ny",
		strings.Repeat("[", 20000) + "\n", `{"a":` + strings.Repeat(`{"a":`, 12000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		kept, records := &tail{}, &counted{t: t}
		readLog(bytes.NewReader(text), slog.New(records), kept)
		// The line beside them says how many were dropped.
		if lines := 1 + bytes.Count(text, []byte("\n")); int(records.records.Load()) > lines+1 {
			t.Errorf("%d records of %d lines", records.records.Load(), lines)
		}
		for _, line := range kept.lines() {
			if len(line) > 3*tailWidth || !utf8.ValidString(line) {
				t.Errorf("%q is kept", line)
			}
		}
	})
}

// Whatever a plugin prints as its handshake, the host says what is wrong with it or finds an address in it, and passes
// one line on.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		"1|1|unix|/tmp/s|grpc|" + strings.Repeat("QUFB", 20), "1|1|tcp|127.0.0.1:1|grpc|", "1|2|unix|/tmp/s|grpc|x|true",
		"1|1|unix|/tmp/s|netrpc|",
		"", "|||||", "Welcome to garbage 3.1", "1|99999999999999999999|unix|s|grpc", "\x00\x1b[2J|1|a|b|c|d",
		"-1|+1|unix|s|grpc|" + strings.Repeat("=", 60),
	} {
		f.Add(seed)
	}
	kind := wire.Kind{Name: "median", ProtocolVersion: 1}
	f.Fuzz(func(t *testing.T, line string) {
		r := &runner{handshake: line}
		problem := r.handshakeProblem(kind)
		if problem == "" && line != "" && r.address() == "" {
			t.Errorf("%q is taken, and has no address", line)
		}
		if len(problem) > 1000 {
			t.Errorf("the problem has %d bytes: %.200s", len(problem), problem)
		}
		if strings.ContainsAny(problem, "\x00\x1b\n\r") {
			t.Errorf("the problem has control characters: %q", problem)
		}
		_ = r.certificate()
	})
}
