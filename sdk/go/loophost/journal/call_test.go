package journal_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/loop-plugins/loop/sdk/go/loophost/journal"
)

func TestEnding(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attempt journal.Attempt
		want    journal.Ending
	}{
		"the application's error": {journal.Attempt{Code: codes.NotFound, Generation: true},
			journal.Answered},
		"the application is unavailable": {journal.Attempt{Code: codes.Unavailable, Generation: true},
			journal.Answered},
		"the application is unavailable and dies": {journal.Attempt{Code: codes.Unavailable, Generation: true,
			Dying: true}, journal.Answered},
		"a server that drains": {journal.Attempt{Code: codes.Unavailable, Generation: true,
			Draining: true}, journal.Refused},
		"a server that drains, for a caller that went": {journal.Attempt{Code: codes.Unavailable, Generation: true,
			Draining: true, Gone: true}, journal.Refused},
		"the connection broke":                          {journal.Attempt{Code: codes.Unavailable}, journal.Lost},
		"the connection broke under a caller that went": {journal.Attempt{Code: codes.Unavailable, Gone: true}, journal.Lost},
		"the connection was closed with its generation": {journal.Attempt{Code: codes.Canceled, Dying: true}, journal.Lost},
		"the caller cancelled": {journal.Attempt{Code: codes.Canceled, Gone: true},
			journal.Answered},
		"the caller cancelled as the generation ended": {journal.Attempt{Code: codes.Canceled, Gone: true, Dying: true},
			journal.Answered},
		"cancelled by the application": {journal.Attempt{Code: codes.Canceled}, journal.Answered},
		"the caller's deadline": {journal.Attempt{Code: codes.DeadlineExceeded, Gone: true},
			journal.Answered},
		"the caller's deadline as the generation " +
			"ended": {journal.Attempt{Code: codes.DeadlineExceeded, Gone: true, Dying: true},
			journal.Answered},
		"a message too large, found before it left": {journal.Attempt{Code: codes.ResourceExhausted}, journal.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.attempt.Ending(); got != test.want {
				t.Errorf("got ending %d, want %d", got, test.want)
			}
		})
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	type lost struct {
		died, repeatable, gone bool
		want                   journal.Verdict
	}
	for name, attempts := range map[string][]lost{
		"one death":                            {{true, true, false, journal.Repeat}},
		"two deaths":                           {{true, true, false, journal.Repeat}, {true, true, false, journal.Suspect}},
		"two deaths, and the caller went":      {{true, true, false, journal.Repeat}, {true, true, true, journal.Suspect}},
		"a death, and a broken connection":     {{true, true, false, journal.Repeat}, {false, true, false, journal.Unknown}},
		"a broken connection, and a death":     {{false, true, false, journal.Repeat}, {true, true, false, journal.Unknown}},
		"two broken connections":               {{false, true, false, journal.Repeat}, {false, true, false, journal.Unknown}},
		"a death, and it cannot be repeated":   {{true, false, false, journal.Unknown}},
		"it breaks, and it cannot be repeated": {{false, false, false, journal.Unknown}},
		"a death, and nobody waits for it":     {{true, true, true, journal.Unknown}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c journal.Call
			for i, a := range attempts {
				if got := c.Lost(a.died, a.repeatable, a.gone); got != a.want {
					t.Errorf("attempt %d: got verdict %d, want %d", i+1, got, a.want)
				}
			}
		})
	}
}
