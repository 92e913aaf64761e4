package session

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/loop-plugins/loop/tools/devnet/internal/audit"
	"github.com/loop-plugins/loop/tools/devnet/internal/hosts"
	"github.com/loop-plugins/loop/tools/devnet/internal/node"
)

func TestCheckNet(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		"--net says what happens between hosts, but the nodes have none without --hosts; add it": {Net: []string{"delay 1s"}},
		"--source names a server that nodes cannot reach": {Hosts: true,
			Source: "http://127.0.0.1:1"},
		`--net "cut 4": "4" is not a node`: {Hosts: true, Nodes: 4, Net: []string{"delay 1s", "cut 4"}},
		`--net "move 1 at 25s" falls into "stop 1 at 5s for 20s", when the node does not run`: {
			Hosts: true, Nodes: 4, Net: []string{"move 2 at 10s", "move 1 at 25s", "stop 1 at 5s for 20s"}},
		`--net "restart 1 at 5s" and --kill-every`: {Hosts: true, Nodes: 4, Net: []string{"restart 1 at 5s"},
			KillEvery: time.Second},
	} {
		if _, err := checkNet(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, config := range []Config{{Hosts: true, HealedWithin: time.Second}, {Hosts: true, JoinedWithin: time.Second}} {
		if _, err := checkNet(config); err == nil || !strings.Contains(err.Error(), "there are none without --net") {
			t.Errorf("limits without events: got %v", err)
		}
	}
	config := Config{Hosts: true, Nodes: 4, KillEvery: time.Second,
		Net: []string{"delay 1s", "split 0,1|2,3 at 10s for 30s", "cut 3 at 1m"}}
	events, err := checkNet(config)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 3 || timed(events[:1]) || !timed(events) {
		t.Errorf("got %d events, of which a time says %t; the first alone: %t", len(events), timed(events), timed(events[:1]))
	}
	if got := NetLength(config); got != time.Minute {
		t.Errorf("the events take %s, want the minute until the last begins", got)
	}
}

// TestProgress gives a leader time for a round only where no quorum is free of the delay.
func TestProgress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"delay 1s":                    10 * time.Second,
		"delay 1s at 3s for 70s":      10 * time.Second,
		"delay 1s 0,1|2,3":            10 * time.Second,
		"delay 1s 0|1":                0,
		"delay 1s 3|0,1,2":            0,
		"delay 1s 3":                  0,
		"delay 1s 0,1,2,3|chain":      0,
		"split 0,1|2,3 at 20s for 1m": 0,
		"restart 3 at 12s":            0,
	} {
		e, err := hosts.ParseEvent(text, 4)
		if err != nil {
			t.Fatal(err)
		}
		if got := progress([]*happening{{Event: e}}, 4); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	var events []*happening
	for _, text := range []string{"cut 3 at 20s for 5s", "delay 1s", "restart 0 at 10s", "stop 1 at 5s for 20s"} {
		e, err := hosts.ParseEvent(text, 4)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, &happening{Event: e})
	}
	var got []string
	for _, s := range steps(events) {
		what := "begin "
		if s.end {
			what = "end "
		}
		got = append(got, s.at.String()+" "+what+s.Text)
	}
	want := []string{
		"5s begin stop 1 at 5s for 20s", "10s begin restart 0 at 10s", "20s begin cut 3 at 20s for 5s",
		"25s end cut 3 at 20s for 5s", "25s end stop 1 at 5s for 20s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	ms := func(value int64) *int64 { return &value }
	event := func(text string, begun, over time.Time, joined time.Duration) *happening {
		return &happening{Event: hosts.Event{Text: text}, begun: begun, over: over, joined: joined}
	}
	arrivals := []time.Time{at(0), at(1), at(2), at(2.5), at(12.5), at(13), at(14)}
	for name, c := range map[string]struct {
		arrivals []time.Time
		events   []*happening
		want     *Net
	}{
		"nothing came": {nil, []*happening{event("a", at(1), at(2), 0)}, &Net{Events: []NetEvent{{Event: "a"}}}},
		"nothing began": {arrivals, []*happening{event("a", time.Time{}, time.Time{}, 0)},
			&Net{LongestGapMS: 10_000, Events: []NetEvent{}}},
		"a split": {arrivals, []*happening{event("a", at(2.2), at(12), 0)},
			&Net{LongestGapMS: 10_000,
				Events: []NetEvent{{Event: "a", Rounds: 1, LongestGapMS: 10_000, FirstRoundMS: ms(500)}}}},
		"the gap around one without a round": {arrivals, []*happening{event("a", at(1.1), at(1.2), 0)},
			&Net{LongestGapMS: 10_000, Events: []NetEvent{{Event: "a", LongestGapMS: 1000, FirstRoundMS: ms(800)}}}},
		"to the end": {arrivals, []*happening{event("a", at(12.6), time.Time{}, 0)},
			&Net{LongestGapMS: 10_000, Events: []NetEvent{{Event: "a", Rounds: 2, LongestGapMS: 1000}}}},
		"a restart": {arrivals, []*happening{event("a", at(1.5), at(1.9), 3*time.Second)},
			&Net{LongestGapMS: 10_000,
				Events: []NetEvent{{Event: "a", LongestGapMS: 1000, FirstRoundMS: ms(100), JoinedMS: ms(3000)}}}},
		"nothing came after it": {arrivals, []*happening{event("a", at(13.5), at(20), 0)},
			&Net{LongestGapMS: 10_000, Events: []NetEvent{{Event: "a", Rounds: 1, LongestGapMS: 1000}}}},
	} {
		if diff := cmp.Diff(c.want, tell(c.events, c.arrivals)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	healed, joined := int64(5000), int64(8000)
	told := &Net{Events: []NetEvent{{Event: "a"}, {Event: "b", FirstRoundMS: &healed, JoinedMS: &joined}}}
	for name, c := range map[string]struct {
		healedWithin, joinedWithin time.Duration
		want                       string
	}{
		"no limits": {0, 0, ""},
		"in time":   {5 * time.Second, 8 * time.Second, ""},
		"a late round": {4 * time.Second, 0,
			`--net "b" was over for 5000 ms when the next round came, and --healed-within allows 4s`},
		"a node that waits": {0, 7 * time.Second,
			`--net "b": the node observed 8000 ms after it was started again, and --joined-within allows 7s`},
	} {
		got := ""
		if err := told.late(c.healedWithin, c.joinedWithin); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestTookPart has a leader that was started again observe in rounds of its own, whose numbers may have been there
// before.
func TestTookPart(t *testing.T) {
	t.Parallel()
	at := func(epoch uint32, round uint8) audit.Position { return audit.Position{Epoch: epoch, Round: round} }
	n := &network{landed: []audit.Position{at(1, 1), at(1, 2), at(2, 1)}}
	for name, c := range map[string]struct {
		round  audit.Position
		before int
		want   bool
	}{
		"a round that did not land":    {at(1, 9), 0, false},
		"a round that landed before":   {at(1, 2), 2, false},
		"a round that has landed then": {at(2, 1), 2, true},
	} {
		observed := node.Observations{node.Round(c.round): {big.NewInt(1)}}
		if got := n.tookPart(observed, c.before); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
