package median

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/smartcontractkit/libocr/commontypes"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// libocr has a level below slog's lowest and one above its highest: they keep their order at slog's distance of 4.
const (
	levelTrace    = slog.LevelDebug - 4
	levelCritical = slog.LevelError + 4
)

// logger hands libocr's lines to slog, and those at error and above to the job's log of errors too. It implements
// commontypes.Logger.
type logger struct {
	slog   *slog.Logger
	errors *errorLog
}

// Trace implements commontypes.Logger.
func (l logger) Trace(msg string, fields commontypes.LogFields) { l.log(levelTrace, msg, fields) }

// Debug implements commontypes.Logger.
func (l logger) Debug(msg string, fields commontypes.LogFields) { l.log(slog.LevelDebug, msg, fields) }

// Info implements commontypes.Logger. It logs what libocr says of each round at debug: otherwise a node with a hundred
// feeds would log little else.
func (l logger) Info(msg string, fields commontypes.LogFields) {
	level := slog.LevelInfo
	if strings.HasPrefix(msg, "shouldReport: ") {
		level = slog.LevelDebug
	}
	l.log(level, msg, fields)
}

// Warn implements commontypes.Logger.
func (l logger) Warn(msg string, fields commontypes.LogFields) { l.log(slog.LevelWarn, msg, fields) }

// Error implements commontypes.Logger.
func (l logger) Error(msg string, fields commontypes.LogFields) { l.log(slog.LevelError, msg, fields) }

// Critical implements commontypes.Logger.
func (l logger) Critical(msg string, fields commontypes.LogFields) { l.log(levelCritical, msg, fields) }

func (l logger) log(level slog.Level, msg string, fields commontypes.LogFields) {
	if level >= slog.LevelError {
		l.errors.record(msg)
	}
	ctx := context.Background()
	if !l.slog.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) { // equal lines come out equal
		attrs = append(attrs, slog.Any(k, fields[k]))
	}
	l.slog.LogAttrs(ctx, level, msg, attrs...)
}

const (
	// maxRecords bounds the records under way: libocr must never wait for its log, and a host that does not answer must
	// not fill the memory. What exceeds it stands only in the plugin's own log.
	maxRecords = 16
	// maxMessage is the contract's limit of RecordErrorRequest.message, in bytes.
	maxMessage = 4096
)

// errorLog records errors in the lent log of the job without keeping its caller waiting.
type errorLog struct {
	client hostservicev1.ErrorLogServiceClient
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	running sync.WaitGroup
	records int
	closed  bool
}

func newErrorLog(client hostservicev1.ErrorLogServiceClient) *errorLog {
	l := &errorLog{client: client}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *errorLog) record(message string) {
	message = cut(strings.ToValidUTF8(message, "\uFFFD"), maxMessage)
	l.mu.Lock()
	defer l.mu.Unlock()
	// An instance may log its last line after its factory was closed.
	if l.closed || l.records == maxRecords || message == "" {
		return
	}
	l.records++
	l.running.Go(func() {
		_, _ = ask("recording an error", func() (*hostservicev1.RecordErrorResponse, error) {
			return l.client.RecordError(l.ctx, &hostservicev1.RecordErrorRequest{Message: message})
		}) // the line stands in the plugin's own log in any case
		l.mu.Lock()
		l.records--
		l.mu.Unlock()
	})
}

// recordGrace is how long records under way may go on when their job ends.
const recordGrace = time.Second

func (l *errorLog) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	timer := time.AfterFunc(recordGrace, l.cancel)
	defer timer.Stop()
	l.running.Wait()
	l.cancel()
}

// cut shortens s to at most n bytes without cutting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
