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
		for i := range ErrorsKept + 5 {
			l.Record(fmt.Sprintf("error %d", i))
		}
		time.Sleep(time.Second)
		if _, err := l.RecordError(t.Context(), &hostservicev1.RecordErrorRequest{Message: "error 10"}); err != nil {
			t.Fatal(err)
		}
		latest := l.Latest()
		if len(latest) != ErrorsKept {
			t.Fatalf("%d errors are kept; want %d", len(latest), ErrorsKept)
		}
		want := JobError{Kind: "error 10", Message: "error 10", Count: 2, FirstAt: begin, LastAt: begin.Add(time.Second)}
		if d := cmp.Diff(want, latest[0]); d != "" {
			t.Errorf("newest (-want +got):\n%s", d)
		}
		if latest[1].Message != "error 54" || latest[ErrorsKept-1].Message != "error 5" {
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

// Errors that differ in what passes alone are one, and those that differ in what an operator must know are not.
func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"handing the report of epoch 4, round 17 to the relayer: full",
			"handing the report of epoch 5, round 1 to the relayer: full"},
		{"no answer within 2m10.5s", "no answer within 300ms"},
		{"the configuration of block 12 is gone", "the configuration of block 13 is gone"},
	} {
		if kindOf(same[0]) != kindOf(same[1]) {
			t.Errorf("%q is not %q", kindOf(same[0]), kindOf(same[1]))
		}
	}
	for _, other := range [][2]string{
		{"task ds1 (bridge): down", "task ds2 (bridge): down"},
		{"answered with status 502", "answered with status 404"},
		{"the account 0x12s has no funds", "the account 0x13s has no funds"},
	} {
		if kindOf(other[0]) == kindOf(other[1]) {
			t.Errorf("%q and %q are one", other[0], other[1])
		}
	}
}
