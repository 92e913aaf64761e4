package hostservice

import (
	"context"
	"strings"
	"sync"
	"time"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

var _ hostservicev1.ErrorLogServiceServer = (*ErrorLog)(nil)

const (
	// errorsKept bounds a job's log: enough to see what is wrong now, and the logs have the rest.
	errorsKept = 20
	// maxErrorLength is the contract's bound of a message in bytes (RecordErrorRequest); what the host itself records is cut to it.
	maxErrorLength = 4096
)

// JobError is an error of a job and how often it came.
type JobError struct {
	Message string
	Count   uint64
	FirstAt time.Time
	LastAt  time.Time
}

// ErrorLog keeps the latest errors of one job in memory. A plugin writes to it as a host service, the node by Record.
type ErrorLog struct {
	mu     sync.Mutex
	errors []JobError // oldest first
}

// NewErrorLog returns an empty log.
func NewErrorLog() *ErrorLog { return &ErrorLog{} }

// Record adds an error. One whose message is in the log already is counted and becomes the newest.
func (l *ErrorLog) Record(message string) {
	message = text(message)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := JobError{Message: message, FirstAt: now}
	for i, e := range l.errors {
		if e.Message == message {
			entry = e
			l.errors = append(l.errors[:i], l.errors[i+1:]...)
			break
		}
	}
	entry.Count++
	entry.LastAt = now
	l.errors = append(l.errors, entry)
	if len(l.errors) > errorsKept {
		l.errors = append(l.errors[:0], l.errors[len(l.errors)-errorsKept:]...)
	}
}

// text makes of an error what messages of the contract carry: valid UTF-8, and not too much.
func text(message string) string {
	message = strings.ToValidUTF8(message[:min(len(message), maxErrorLength)], "�")
	return strings.ToValidUTF8(message[:min(len(message), maxErrorLength)], "")
}

// Latest returns the errors kept, newest first.
func (l *ErrorLog) Latest() []JobError {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := make([]JobError, 0, len(l.errors))
	for i := len(l.errors) - 1; i >= 0; i-- {
		latest = append(latest, l.errors[i])
	}
	return latest
}

// RecordError implements hostservicev1.ErrorLogServiceServer.
func (l *ErrorLog) RecordError(_ context.Context, request *hostservicev1.RecordErrorRequest) (*hostservicev1.RecordErrorResponse, error) {
	l.Record(request.GetMessage())
	return &hostservicev1.RecordErrorResponse{}, nil
}
