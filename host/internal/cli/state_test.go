package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
)

// TestStatesInTables holds that lists of plugins and bridges show their health, and a dash where there is none.
func TestStatesInTables(t *testing.T) {
	t.Parallel()
	ill := &nodev1.HealthCheck{
		State: nodev1.State_STATE_FAILED, Reason: "it is quarantined", Remedy: "fix it",
		Since: timestamppb.New(time.Now().Add(-time.Hour)),
	}
	plugin := &nodev1.PluginStatus{Name: "evm", State: nodev1.PluginState_PLUGIN_STATE_QUARANTINED, Health: ill}
	for name, c := range map[string]struct {
		table func(io.Writer)
		want  string
	}{
		"plugins": {func(w io.Writer) {
			pluginTable(w, []*nodev1.PluginStatus{plugin, {Name: "median", State: nodev1.PluginState_PLUGIN_STATE_READY,
				Health: &nodev1.HealthCheck{State: nodev1.State_STATE_RUNNING}}})
		}, "evm failed quarantined\nmedian running ready"},
		"a plugin": {func(w io.Writer) { pluginDetails(w, plugin) }, "1h0m0s failed: it is quarantined; fix it"},
		"jobs": {func(w io.Writer) {
			jobTable(w, &nodev1.Job{Id: 1, Type: "t", Relay: "r", ContractId: "c", State: nodev1.JobState_JOB_STATE_FAILED,
				Reason: strings.Repeat("é", 70)})
		}, "1 - t r c failed: " + strings.Repeat("é", 59) + "… 0"},
		"bridges": {func(w io.Writer) {
			bridgeTable(w, &nodev1.Bridge{Name: "prices", Url: "u", Health: ill}, &nodev1.Bridge{Name: "other", Url: "u"})
		}, "prices u - failed: it is quarantined; fix it\nother u - -"},
	} {
		var out bytes.Buffer
		if err := (&command{streams: Streams{Out: &printable{out: &out}}}).show(nil, c.table); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		for wanted := range strings.SplitSeq(c.want, "\n") {
			if !strings.Contains("\n"+strings.Join(lines, "\n"), "\n"+wanted) {
				t.Errorf("%s: no line begins with %q:\n%s", name, wanted, out.String())
			}
		}
	}
}

// TestSenders checks who is said to have sent a round's report.
func TestSenders(t *testing.T) {
	t.Parallel()
	at := &reportingv1.ReportTimestamp{Epoch: 3, Round: 1}
	accepted := &nodev1.ContractAnswer{Timestamp: at, Transmitter: "0xaa"}
	for want, o := range map[string]*nodev1.RoundObservation{
		"-":                               {},
		"this node":                       {Timestamp: at, SentAt: timestamppb.Now(), Landed: true, Transmitter: "0xbb"},
		"the relayer did not take it: no": {Timestamp: at, SendError: "no"},
		"another node: 0xaa":              {Timestamp: at},
		"another node: 0xcc":              {Landed: true, Transmitter: "0xcc"},
		"another node":                    {Landed: true},
	} {
		if got := sender(o, accepted); got != want {
			t.Errorf("%v: sent by %q, want %q", o, got, want)
		}
	}
}
