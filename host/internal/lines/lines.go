// Package lines keeps the newest lines of the log about each plugin, including its own output, for later requests.
//
// It must not know what a plugin is: a line is about one if its logger has the attribute plugin.
package lines

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// Kept is how many lines of each plugin are kept, and keptBytes how many bytes of them.
	Kept      = 1000
	keptBytes = 256 << 10
	// longest is how much of a line is kept.
	longest = 4 << 10
	// pluginKey is the attribute that says which plugin a line is about.
	pluginKey = "plugin"
)

// Line is a line of the log.
type Line struct {
	// Number grows by one with each line of a plugin, from 1.
	Number uint64
	At     time.Time
	Level  slog.Level
	// Text is the message with its attributes, without the plugin's name.
	Text string
}

// Lines are the lines of all plugins.
type Lines struct {
	closing sync.Once
	closed  chan struct{}

	mu sync.Mutex
	of map[string]*kept
}

// kept are the lines of one plugin, oldest first.
type kept struct {
	lines   []Line
	bytes   int
	next    uint64
	changed chan struct{} // closed at the next line
}

// New returns no lines.
func New() *Lines { return &Lines{of: map[string]*kept{}, closed: make(chan struct{})} }

// Close wakes everybody who waits for lines.
func (l *Lines) Close() { l.closing.Do(func() { close(l.closed) }) }

// Closed is closed by Close.
func (l *Lines) Closed() <-chan struct{} { return l.closed }

func (l *Lines) kept(plugin string) *kept {
	k := l.of[plugin]
	if k == nil {
		k = &kept{next: 1, changed: make(chan struct{})}
		l.of[plugin] = k
	}
	return k
}

func (l *Lines) add(plugin string, line Line) {
	if len(line.Text) > longest {
		line.Text = strings.ToValidUTF8(line.Text[:longest], "") + "…"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(plugin)
	line.Number = k.next
	k.next++
	k.lines, k.bytes = append(k.lines, line), k.bytes+len(line.Text)
	for len(k.lines) > Kept || k.bytes > keptBytes {
		k.bytes -= len(k.lines[0].Text)
		k.lines = k.lines[1:]
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// After returns the lines of a plugin that are kept and have a number above one, and a channel that closes when there
// is another.
func (l *Lines) After(plugin string, number uint64) (found []Line, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(plugin)
	at := len(k.lines)
	for at > 0 && k.lines[at-1].Number > number {
		at--
	}
	return append(found, k.lines[at:]...), k.changed
}

// Forget drops the lines of a plugin that no longer exists.
func (l *Lines) Forget(plugin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, plugin)
}

// Handler records the lines about plugins that it passes on.
func (l *Lines) Handler(next slog.Handler) slog.Handler { return &handler{Handler: next, lines: l} }

type handler struct {
	slog.Handler
	lines *Lines
	about string // the plugin; empty: none
	text  *text
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.about != "" {
		h.lines.add(h.about, Line{At: r.Time, Level: r.Level, Text: h.text.of(ctx, r)})
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := &handler{Handler: h.Handler.WithAttrs(attrs), lines: h.lines, about: h.about, text: h.text}
	if h.about != "" {
		with.text = h.text.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
		return with
	}
	for at, a := range attrs {
		if a.Key == pluginKey {
			with.about, with.text = a.Value.String(), newText(attrs[at+1:])
		}
	}
	return with
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	with := &handler{Handler: h.Handler.WithGroup(name), lines: h.lines, about: h.about, text: h.text}
	if h.about != "" {
		with.text = h.text.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
	}
	return with
}

// text writes records as the text of a line.
type text struct {
	mu      *sync.Mutex
	out     *bytes.Buffer
	handler slog.Handler
}

func newText(attrs []slog.Attr) *text {
	t := &text{mu: &sync.Mutex{}, out: &bytes.Buffer{}}
	t.handler = slog.NewTextHandler(t.out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{} // they stand before the attributes, each in its own way
			}
			return a
		},
	}).WithAttrs(attrs)
	return t
}

func (t *text) with(change func(slog.Handler) slog.Handler) *text {
	return &text{mu: t.mu, out: t.out, handler: change(t.handler)}
}

// of is a record's message and attributes.
func (t *text) of(ctx context.Context, r slog.Record) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.Reset()
	_ = t.handler.Handle(ctx, r) // a buffer takes all
	return strings.TrimSpace(r.Message + " " + t.out.String())
}
