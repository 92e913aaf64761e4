package api

import (
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/loop-plugins/loop/host/internal/history"
)

// A stream has its time, however little is said in it.
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := history.New(history.Settings{})
		defer h.Close()
		begin := time.Now()
		err := follow(t.Context(), h.ListenRuns(0), func(func() *history.Run) error { return nil })
		wantCode(t, "a stream that has had its time", err, connect.CodeUnavailable)
		if took := time.Since(begin); took != 10*time.Minute {
			t.Errorf("it lasted %s", took)
		}
	})
}
