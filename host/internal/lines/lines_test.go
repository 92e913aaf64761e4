package lines

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// texts are the lines of a plugin as people see them.
func texts(l *Lines, plugin string, after uint64) (all []string) {
	found, _ := l.After(plugin, after)
	for _, line := range found {
		all = append(all, fmt.Sprintf("%d %s %s", line.Number, line.Level, line.Text))
	}
	return all
}

// TestHandler holds that a line is kept with what is said in it, of those plugins alone that it is about, and that all
// of them are passed on as they are.
func TestHandler(t *testing.T) {
	t.Parallel()
	l := New()
	var log bytes.Buffer
	logger := slog.New(l.Handler(slog.NewTextHandler(&log, nil)))
	logger.Info("the node is ready", "plugins", 2)
	evm := logger.With("plugin", "evm", "kind", "relayer")
	evm.Debug("nobody wants this")
	evm.Info("ready", "generation", 1, "took", time.Second)
	evm.With("chain", "1").WithGroup("rpc").Warn("down", "name", "a", "error", errors.New("it is away"))
	logger.With("plugin", "median").Error("msg", "msg", "x")
	if diff := cmp.Diff([]string{
		"1 INFO ready kind=relayer generation=1 took=1s",
		`2 WARN down kind=relayer chain=1 rpc.name=a rpc.error="it is away"`,
	}, texts(l, "evm", 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 ERROR msg"}, texts(l, "median", 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 4 || !strings.Contains(log.String(), "plugin=evm") {
		t.Errorf("the log is:\n%s", log.String())
	}
	l.Forget("evm")
	if left := texts(l, "evm", 0); left != nil {
		t.Errorf("of a plugin that is forgotten: %q", left)
	}
}

// TestBounds holds that a plugin that says much, or long lines, takes no more memory than its share.
func TestBounds(t *testing.T) {
	t.Parallel()
	l := New()
	logger := slog.New(l.Handler(slog.DiscardHandler)).With("plugin", "evm")
	if logger.Info("dropped"); texts(l, "evm", 0) != nil {
		t.Error("a line is kept that the log does not take")
	}
	logger = slog.New(l.Handler(slog.NewTextHandler(&bytes.Buffer{}, nil))).With("plugin", "evm")
	for range Kept + 5 {
		logger.Info("short")
	}
	found, _ := l.After("evm", 0)
	if len(found) != Kept || found[0].Number != 6 {
		t.Errorf("%d lines are kept, from %d on", len(found), found[0].Number)
	}
	for range 100 {
		logger.Info(strings.Repeat("é", longest))
	}
	found, _ = l.After("evm", 0)
	size := 0
	for _, line := range found {
		size += len(line.Text)
	}
	if size > keptBytes || len(found) < keptBytes/longest-1 {
		t.Errorf("%d lines of %d bytes are kept", len(found), size)
	}
}

// TestFollow holds that whoever waits is told of the next line, and of the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := New()
	logger := slog.New(l.Handler(slog.NewTextHandler(&bytes.Buffer{}, nil))).With("plugin", "evm")
	logger.Info("one")
	found, more := l.After("evm", 0)
	if len(found) != 1 {
		t.Fatalf("%v", found)
	}
	select {
	case <-more:
		t.Error("there is another line already")
	default:
	}
	go logger.Info("two")
	<-more
	if diff := cmp.Diff([]string{"2 INFO two"}, texts(l, "evm", 1)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	go l.Close()
	<-l.Closed()
	l.Close()
}
