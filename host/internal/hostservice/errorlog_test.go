package hostservice

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
)

func TestErrorLogCountsAndForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewErrorLog()
		begin := time.Now()
		for i := range 25 {
			l.Record(fmt.Sprintf("error %d", i))
		}
		time.Sleep(time.Second)
		if _, err := l.RecordError(t.Context(), &hostservicev1.RecordErrorRequest{Message: "error 10"}); err != nil {
			t.Fatal(err)
		}
		latest := l.Latest()
		if len(latest) != errorsKept {
			t.Fatalf("%d errors are kept; want %d", len(latest), errorsKept)
		}
		want := JobError{Message: "error 10", Count: 2, FirstAt: begin, LastAt: begin.Add(time.Second)}
		if d := cmp.Diff(want, latest[0]); d != "" {
			t.Errorf("newest (-want +got):\n%s", d)
		}
		if latest[1].Message != "error 24" || latest[errorsKept-1].Message != "error 5" {
			t.Errorf("order: %v", latest)
		}
	})
}

func TestErrorLogCutsWhatCannotBeShown(t *testing.T) {
	t.Parallel()
	l := NewErrorLog()
	l.Record(strings.Repeat("é", maxErrorLength))
	l.Record("\xff\xfe")
	l.Record(strings.Repeat("\xffa", maxErrorLength))
	for _, e := range l.Latest() {
		if !utf8.ValidString(e.Message) || len(e.Message) > maxErrorLength || e.Message == "" {
			t.Errorf("message of %d bytes, valid %t", len(e.Message), utf8.ValidString(e.Message))
		}
	}
}
