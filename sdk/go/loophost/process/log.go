package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// longestLogLine is how much of a line of stderr is kept.
	longestLogLine = 32 << 10
	// tailLines is how many lines of stderr a post-mortem shows, and tailWidth how much of each.
	tailLines = 20
	tailWidth = 512
	// linesPerSecond bounds what one plugin may put into the host's log: a plugin in a loop of errors must not fill a
	// disk. Lines beyond it are counted, and the log has their number a second after the first of them.
	linesPerSecond = 500
)

// tail keeps the last lines.
type tail struct {
	mu   sync.Mutex
	last []string
}

func (t *tail) add(line string) {
	if len(line) > tailWidth {
		line = line[:tailWidth]
	}
	line = strings.ToValidUTF8(line, "\uFFFD")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == tailLines {
		t.last = append(t.last[:0], t.last[1:]...)
	}
	t.last = append(t.last, line)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.last...)
}

// readLog turns a plugin's stderr into log records until it ends. Any bytes are safe.
func readLog(r io.Reader, logger *slog.Logger, keep *tail) {
	b := bufio.NewReaderSize(r, longestLogLine)
	limit := limiter{logger: logger}
	defer limit.tell()
	for {
		line, err := b.ReadSlice('\n')
		text := strings.TrimRight(string(line), "\r\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if text != "" {
			level, message, attrs := parse(text)
			if level >= slog.LevelWarn || attrs == nil {
				keep.add(message)
			}
			if limit.allow(time.Now()) {
				logger.LogAttrs(context.Background(), level, message, attrs...)
			}
		}
		if err != nil {
			return
		}
	}
}

// limiter counts lines by the second.
type limiter struct {
	logger *slog.Logger
	// These are of the goroutine that reads.
	second int64
	lines  int

	mu      sync.Mutex
	dropped int
	telling *time.Timer
}

func (l *limiter) allow(now time.Time) bool {
	if s := now.Unix(); s != l.second {
		l.second, l.lines = s, 0
	}
	if l.lines < linesPerSecond {
		l.lines++
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped++; l.dropped == 1 {
		l.telling = time.AfterFunc(time.Second, l.tell)
	}
	return false
}

// tell says how many lines were dropped since it was last said.
func (l *limiter) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped == 0 {
		return
	}
	l.telling.Stop()
	l.logger.Warn("log lines of the plugin were dropped", "lines", l.dropped, "limitPerSecond", linesPerSecond)
	l.dropped = 0
}

// parse reads a line as slog's or hclog's JSON; any other line is a message. The attributes of plain text are nil.
func parse(line string) (slog.Level, string, []slog.Attr) {
	if !strings.HasPrefix(line, "{") {
		return plainLevel(line), line, nil
	}
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber() // a block is 22000000, and not 2.2e+07
	if err := d.Decode(&fields); err != nil || d.More() {
		return slog.LevelInfo, line, nil
	}
	message, ok := first[string](fields, "msg", "@message", "message")
	if !ok {
		return slog.LevelInfo, line, nil
	}
	level := slog.LevelInfo
	if s, ok := first[string](fields, "level", "@level"); ok {
		if strings.EqualFold(s, "trace") {
			s = "debug"
		}
		if err := level.UnmarshalText([]byte(s)); err != nil {
			level = slog.LevelInfo // a level that nobody knows is no reason to lose the line
		}
	}
	attrs := make([]slog.Attr, 0, len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[k]; k {
		case "msg", "@message", "message", "level", "@level", "time", "@timestamp", "timestamp":
		default:
			attrs = append(attrs, slog.Any(named(k), v)) // numbers as they were written
		}
	}
	return level, message, attrs
}

// hostKeys are what a host's records have of its own: slog's keys, the plugin that a line is from, and what tells its
// jobs and its audit from all else.
var hostKeys = []string{slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey, "plugin", "audit", "job"}

// named is the name of a plugin's attribute in the host's log. A name of the host's gets "plugin." before it: a record
// would have it twice, most readers would take the plugin's for the host's, and the plugin could pass for another or
// write lines of the audit. Groups are names with dots in text, and many readers of JSON ignore case.
func named(key string) string {
	first, _, _ := strings.Cut(key, ".")
	if slices.ContainsFunc(hostKeys, func(host string) bool { return strings.EqualFold(first, host) }) {
		return "plugin." + key
	}
	return key
}

// plainLevel makes the lines of a dying runtime visible.
func plainLevel(line string) slog.Level {
	for _, p := range []string{"panic: ", "fatal error: ", "Traceback "} {
		if strings.HasPrefix(line, p) {
			return slog.LevelError
		}
	}
	return slog.LevelInfo
}

// first is the first of the keys that holds a T.
func first[T any](fields map[string]any, keys ...string) (T, bool) {
	for _, k := range keys {
		if v, ok := fields[k].(T); ok {
			return v, true
		}
	}
	var none T
	return none, false
}

// logWriter logs what is written to it, line by line.
type logWriter struct {
	mu     sync.Mutex
	logger *slog.Logger
	level  slog.Level
	limit  limiter
	rest   []byte
}

func newLogWriter(logger *slog.Logger, level slog.Level) *logWriter {
	return &logWriter{logger: logger, level: level, limit: limiter{logger: logger}}
}

// Write implements io.Writer.
func (w *logWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			break
		}
		line := strings.TrimRight(string(w.rest[:i]), "\r")
		w.rest = w.rest[i+1:]
		if line != "" && w.limit.allow(time.Now()) {
			w.logger.Log(context.Background(), w.level, line)
		}
	}
	if len(w.rest) > longestLine {
		w.rest = w.rest[:0] // a line without an end says nothing
	}
	return len(p), nil
}
