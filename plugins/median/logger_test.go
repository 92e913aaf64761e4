package median

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	"google.golang.org/grpc"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

// fakeErrorLog is a fake client of the host's log: a function.
type fakeErrorLog func(ctx context.Context, message string) error

func (f fakeErrorLog) RecordError(ctx context.Context, r *hostservicev1.RecordErrorRequest,
	_ ...grpc.CallOption) (*hostservicev1.RecordErrorResponse, error) {
	return &hostservicev1.RecordErrorResponse{}, f(ctx, r.GetMessage())
}

func TestLoggerKeepsLevelsAndFields(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	recorded := make(chan string, 2)
	records := newErrorLog(fakeErrorLog(func(_ context.Context, m string) error {
		recorded <- m
		return errors.New("no host")
	}))
	l := logger{
		slog: slog.New(
			slog.NewTextHandler(&out,
				&slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				}})), errors: records}
	fields := commontypes.LogFields{"b": big.NewInt(5), "a": errors.New("why")}
	l.Trace("unwanted", fields)
	l.Debug("one", fields)
	l.Info("two", nil)
	l.Info("shouldReport: no", nil)
	l.Warn("three", nil)
	l.Error("four", nil)
	l.Critical("five", nil)
	records.close()
	want := "level=DEBUG msg=one a=why b=5\nlevel=INFO msg=two\nlevel=DEBUG msg=\"shouldReport: no\"\n" +
		"level=WARN msg=three\nlevel=ERROR " +
		"msg=four\nlevel=ERROR+4 msg=five\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if len(recorded) != 2 {
		t.Errorf("%d errors were recorded; want four and five", len(recorded))
	}
}

// A host that does not answer holds up neither libocr nor the end of the job, and fills no memory.
func TestErrorLogWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan struct{}, 10*maxRecords)
		records := newErrorLog(fakeErrorLog(func(ctx context.Context, _ string) error {
			calls <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}))
		begin := time.Now()
		for range 10 * maxRecords {
			records.record("a line")
		}
		synctest.Wait()
		if len(calls) != maxRecords {
			t.Errorf("%d records are under way; the bound is %d", len(calls), maxRecords)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("recording took %s", took)
		}
		records.close()
		if took := time.Since(begin); took != recordGrace {
			t.Errorf("closing took %s; the grace is %s", took, recordGrace)
		}
		records.record("after the end")
		synctest.Wait()
		if len(calls) != maxRecords {
			t.Error("an error was recorded after the end")
		}
	})
}

func TestErrorLogKeepsTheContractsLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"long":             strings.Repeat("é", maxMessage),
		"not UTF-8":        "bad \xff byte",
		"bad at the limit": strings.Repeat("x", maxMessage-1) + "é",
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorded := make(chan string, 1)
			records := newErrorLog(fakeErrorLog(func(_ context.Context, m string) error { recorded <- m; return nil }))
			records.record(message)
			records.close()
			if got := <-recorded; len(got) > maxMessage || len(got) < min(len(message), maxMessage)-3 || !utf8.ValidString(got) {
				t.Errorf("recorded %d bytes, valid UTF-8: %t", len(got), utf8.ValidString(got))
			}
		})
	}
}
