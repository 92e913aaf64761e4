package oracle

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
)

func TestLoggerKeepsLibocrsLevels(t *testing.T) {
	t.Parallel()
	fields := commontypes.LogFields{"epoch": 7, "b": "x", "error": errors.New("it broke")}
	for name, c := range map[string]struct {
		level slog.Level
		trace bool
		want  []string
	}{
		"debug with trace": {slog.LevelDebug, true,
			[]string{"DEBUG trace", "DEBUG debug", "INFO info", `DEBUG "led round to completion"`, "WARN warn", "ERROR error",
				`ERROR "critical: critical"`}},
		"debug": {slog.LevelDebug, false,
			[]string{"DEBUG debug", "INFO info", `DEBUG "led round to completion"`, "WARN warn", "ERROR error",
				`ERROR "critical: critical"`}},
		"info": {slog.LevelInfo, true, []string{"INFO info", "WARN warn", "ERROR error", `ERROR "critical: critical"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &logs{}
			var recorded []string
			l := &logger{
				slog:  slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: c.level})).With("job", 5),
				trace: c.trace, record: func(message string) { recorded = append(recorded, message) },
			}
			l.Trace("trace", fields)
			l.Debug("debug", fields)
			l.Info("info", fields)
			l.Info("led round to completion", fields)
			l.Warn("warn", fields)
			l.Error("error", fields)
			l.Critical("critical", nil)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var got []string
			for _, line := range lines {
				_, line, _ = strings.Cut(line, "level=")
				level, rest, _ := strings.Cut(line, " msg=")
				message, attributes, _ := strings.Cut(rest, " job=5")
				got = append(got, level+" "+message)
				if !strings.Contains(message, "critical") && attributes != ` b=x epoch=7 error="it broke"` {
					t.Errorf("attributes %q", attributes)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]string{"error: it broke", "critical: critical"}, recorded); d != "" {
				t.Errorf("recorded (-want +got):\n%s", d)
			}
		})
	}
}
