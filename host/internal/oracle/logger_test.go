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

// TestRoutineIsForDebugging holds that what libocr says of a feed that is well goes to the level debug, and what
// changes stays at info.
func TestRoutineIsForDebugging(t *testing.T) {
	t.Parallel()
	for when, c := range map[string]struct {
		level    slog.Level
		messages []string
	}{
		"each round": {slog.LevelDebug, []string{
			"led round to completion",
			"eventTTransmitTimeout: ReportingPlugin.ShouldTransmitAcceptedReport returned false",
			"ReportingPlugin.ShouldTransmitAcceptedReport returned false",
			"ReportingPlugin.Reports returned no reports",
		}},
		"each epoch": {slog.LevelDebug, []string{
			"Running ReportGeneration", "ReportGeneration: exiting",
			"starting new epoch", "sending MessageEpochStartRequest to leader", "broadcasting MessageEpochStart",
		}},
		"each transmission of one's own": {slog.LevelDebug, []string{
			"eventTTransmitTimeout: Transmitting", "eventTTransmitTimeout:❗️successfully called Transmit",
			"🚀 successfully invoked ContractTransmitter.Transmit",
		}},
		"each some minutes": {slog.LevelDebug, []string{
			"TrackConfig: ContractConfigTracker.Notify() fired", "collectGarbage: going to sleep",
			"collectGarbage: starting collection of old transmissions", "collectGarbage: finished collection",
		}},
		"each change": {slog.LevelInfo, []string{
			"TrackConfig: returning config", "runWithContractConfig: switching between configs", "Connection established",
		}},
	} {
		for _, message := range c.messages {
			out := &logs{}
			l := &logger{slog: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			l.Info(message, nil)
			if got := out.String(); !strings.Contains(got, "level="+c.level.String()+" ") {
				t.Errorf("%s libocr says %q, want it at %s: %s", when, message, c.level, got)
			}
		}
	}
}
