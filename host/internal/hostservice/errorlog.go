package hostservice

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

var _ hostservicev1.ErrorLogServiceServer = (*ErrorLog)(nil)

const (
	// ErrorsKept bounds a job's log, in errors of different kinds.
	ErrorsKept = 50
	// maxErrorLength is the contract's bound of a message in bytes (RecordErrorRequest). The host cuts its own messages to
	// it.
	maxErrorLength = 4096
)

// JobError is an error of a job and how often it came.
type JobError struct {
	// Kind is common to errors that are counted as one: see kindOf.
	Kind string
	// Message is the latest error's text.
	Message string
	Count   uint64
	FirstAt time.Time
	LastAt  time.Time
}

// passing are the parts of messages that differ from one time to the next: numbers of epochs, rounds and blocks, and
// durations.
var passing = regexp.MustCompile(`\b(epoch|round|block) \d+|\b(\d+(\.\d+)?(h|m|s|ms|µs|ns))+\b`)

// kindOf is a message without the parts that differ each time, so that a repeated error is counted and does not fill
// the log.
func kindOf(message string) string {
	return passing.ReplaceAllStringFunc(message, func(part string) string {
		if word, _, ok := strings.Cut(part, " "); ok {
			return word + " #"
		}
		return "#"
	})
}

// ErrorLog keeps the latest errors of one job in memory. A plugin writes to it as a host service, and the node by
// Record.
type ErrorLog struct {
	mu     sync.Mutex
	errors []JobError // oldest first
}

// NewErrorLog returns an empty log.
func NewErrorLog() *ErrorLog { return &ErrorLog{} }

// Record adds an error. If the log has one of its kind already, that is counted and becomes the newest.
func (l *ErrorLog) Record(message string) { l.Count(message) }

// Count is like Record, and returns how often an error of this kind has occurred.
func (l *ErrorLog) Count(message string) uint64 {
	message = text(message)
	now, kind := time.Now(), kindOf(message)
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := JobError{Kind: kind, FirstAt: now}
	if i := slices.IndexFunc(l.errors, func(e JobError) bool { return e.Kind == kind }); i >= 0 {
		entry = l.errors[i]
		l.errors = slices.Delete(l.errors, i, i+1)
	}
	entry.Count++
	entry.Message, entry.LastAt = message, now
	l.errors = append(l.errors, entry)
	if len(l.errors) > ErrorsKept {
		l.errors = slices.Delete(l.errors, 0, len(l.errors)-ErrorsKept)
	}
	return entry.Count
}

// Restore puts earlier errors into an empty log, oldest first.
func (l *ErrorLog) Restore(errors []JobError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append([]JobError(nil), errors[max(0, len(errors)-ErrorsKept):]...)
}

// Forget removes the errors that have not occurred since a time.
func (l *ErrorLog) Forget(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = slices.DeleteFunc(l.errors, func(e JobError) bool { return e.LastAt.Before(since) })
}

// text makes a text for the contract's messages from an error: valid UTF-8 of bounded length.
func text(message string) string {
	message = strings.ToValidUTF8(message[:min(len(message), maxErrorLength)], "�")
	return strings.ToValidUTF8(message[:min(len(message), maxErrorLength)], "")
}

// Latest returns the errors kept, newest first.
func (l *ErrorLog) Latest() []JobError { return l.Since(time.Time{}) }

// Since returns the errors that have occurred since a time, newest first.
func (l *ErrorLog) Since(when time.Time) []JobError {
	l.mu.Lock()
	defer l.mu.Unlock()
	var latest []JobError
	for i := len(l.errors) - 1; i >= 0 && !l.errors[i].LastAt.Before(when); i-- {
		latest = append(latest, l.errors[i])
	}
	return latest
}

// RecordError implements hostservicev1.ErrorLogServiceServer.
func (l *ErrorLog) RecordError(_ context.Context,
	request *hostservicev1.RecordErrorRequest) (*hostservicev1.RecordErrorResponse, error) {
	l.Record(request.GetMessage())
	return &hostservicev1.RecordErrorResponse{}, nil
}
