package oracle

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/smartcontractkit/libocr/commontypes"
)

var _ commontypes.Logger = (*logger)(nil)

// logger gives libocr's lines to slog. Only its lines say what goes wrong inside libocr, so errors are recorded for the
// job too.
type logger struct {
	slog   *slog.Logger
	trace  bool         // libocr's trace lines are logged, at level debug
	record func(string) // takes errors; nil: nobody
}

// Trace implements commontypes.Logger.
func (l *logger) Trace(msg string, fields commontypes.LogFields) {
	if l.trace {
		l.log(slog.LevelDebug, msg, fields)
	}
}

// Debug implements commontypes.Logger.
func (l *logger) Debug(msg string, fields commontypes.LogFields) { l.log(slog.LevelDebug, msg, fields) }

// routine are the lines that libocr repeats about a healthy feed: for each round, epoch and transmission, and whenever
// it cleans up its database. A node with a hundred feeds would log little else. The node logs its own line for each
// report that it hands over, and for each change of a feed's state.
var routine = map[string]bool{
	// OCR2
	"Running ReportGeneration":  true,
	"ReportGeneration: exiting": true,
	"led round to completion":   true,
	"eventTTransmitTimeout: ReportingPlugin.ShouldTransmitAcceptedReport returned false": true,
	"eventTTransmitTimeout: Transmitting":                                                true,
	"eventTTransmitTimeout:❗️successfully called Transmit":                               true,
	// OCR3
	"starting new epoch":                                          true,
	"sending MessageEpochStartRequest to leader":                  true,
	"broadcasting MessageEpochStart":                              true,
	"ReportingPlugin.Reports returned no reports":                 true,
	"ReportingPlugin.ShouldTransmitAcceptedReport returned false": true,
	"🚀 successfully invoked ContractTransmitter.Transmit":         true,
	// both
	"TrackConfig: ContractConfigTracker.Notify() fired":        true,
	"collectGarbage: going to sleep":                           true,
	"collectGarbage: starting collection of old transmissions": true,
	"collectGarbage: finished collection":                      true,
}

// Info implements commontypes.Logger.
func (l *logger) Info(msg string, fields commontypes.LogFields) {
	level := slog.LevelInfo
	if routine[msg] {
		level = slog.LevelDebug
	}
	l.log(level, msg, fields)
}

// Warn implements commontypes.Logger.
func (l *logger) Warn(msg string, fields commontypes.LogFields) { l.log(slog.LevelWarn, msg, fields) }

// Error implements commontypes.Logger.
func (l *logger) Error(msg string, fields commontypes.LogFields) { l.fault(msg, fields) }

// Critical implements commontypes.Logger.
func (l *logger) Critical(msg string, fields commontypes.LogFields) {
	l.fault("critical: "+msg, fields)
}

func (l *logger) fault(msg string, fields commontypes.LogFields) {
	l.log(slog.LevelError, msg, fields)
	if l.record == nil {
		return
	}
	if err, ok := fields["error"]; ok && err != nil {
		msg = fmt.Sprintf("%s: %v", msg, err)
	}
	l.record(msg)
}

func (l *logger) log(level slog.Level, msg string, fields commontypes.LogFields) {
	ctx := context.Background()
	if !l.slog.Enabled(ctx, level) {
		return // libocr's debug lines are many, and sorting their fields is what costs
	}
	attributes := make([]slog.Attr, 0, len(fields))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		attributes = append(attributes, slog.Any(key, fields[key]))
	}
	l.slog.LogAttrs(ctx, level, msg, attributes...)
}
