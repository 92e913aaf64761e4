package loop

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestLasting checks that a plugin's log has durations as people read them.
func TestLasting(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: lasting})).
		Info("waits", "in", 21207*time.Millisecond, slog.Group("of", "delta", 5*time.Second))
	if got := log.String(); !strings.Contains(got, `"in":"21.207s","of":{"delta":"5s"}`) {
		t.Errorf("the line is %s", got)
	}
}
