package hosts

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()
	each := [][]int{{0}, {1}, {2}, {3}}
	for text, want := range map[string]Event{
		"split 0,1|2,3 at 20s for 60s": {
			Condition: &Condition{Groups: [][]int{{0, 1}, {2, 3}}, Cut: true}, Timed: true, At: 20 * time.Second,
			For: time.Minute},
		"split 0|1|2,3": {Condition: &Condition{Groups: [][]int{{0}, {1}, {2, 3}}, Cut: true}},
		"cut 3 at 10s for 1m30s": {Condition: &Condition{Groups: [][]int{{3}, nil}, Cut: true}, Timed: true,
			At: 10 * time.Second, For: 90 * time.Second},
		"cut 3|chain at 0s": {Condition: &Condition{Groups: [][]int{{3}, {Outside}}, Cut: true}, Timed: true},
		"delay 300ms":       {Condition: &Condition{Groups: each, Delay: 300 * time.Millisecond}},
		"  delay 1s   3|0,1,2 at 5s  ": {Condition: &Condition{Groups: [][]int{{3}, {0, 1, 2}}, Delay: time.Second},
			Timed: true, At: 5 * time.Second},
		"loss 2.5% chain":      {Condition: &Condition{Groups: [][]int{{Outside}, nil}, Loss: .025}},
		"rate 9600bit 3":       {Condition: &Condition{Groups: [][]int{{3}, nil}, Rate: 9600}},
		"rate 64kbit 3":        {Condition: &Condition{Groups: [][]int{{3}, nil}, Rate: 64_000}},
		"rate 10Mbit":          {Condition: &Condition{Groups: each, Rate: 10_000_000}},
		"hole 500 3":           {Condition: &Condition{Groups: [][]int{{3}, nil}, Hole: 500}},
		"restart 3 at 30s":     {Act: Restart, Node: 3, Timed: true, At: 30 * time.Second},
		"move 2 at 30s":        {Act: Move, Node: 2, Timed: true, At: 30 * time.Second},
		"stop 0 at 5s for 20s": {Act: Stop, Node: 0, Timed: true, At: 5 * time.Second, For: 20 * time.Second},
	} {
		want.Text = text
		got, err := ParseEvent(text, 4)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseEventSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    "it is empty; devnet --help has examples",
		"jitter 3":            `it begins with "jitter", but events begin with cut, split, delay, loss, rate, hole, restart, move, stop`,
		"cut":                 "write cut NODES[|NODES…] [at TIME] [for TIME]",
		"split 0,1 at 20s":    "write split NODES|NODES… [at TIME] [for TIME]",
		"delay":               "write delay TIME [NODES[|NODES…]] [at TIME] [for TIME]",
		"delay 0s":            "delay 0s is not a time above zero with a unit, such as 300ms",
		"delay 300":           "delay 300 is not a time above zero with a unit, such as 300ms",
		"loss 5":              "loss 5 is not a part above 0% and up to 100%, such as 5%",
		"loss NaN%":           "loss NaN% is not a part above 0% and up to 100%, such as 5%",
		"rate 64k":            "rate 64k is not a number of bits a second, such as 9600bit, 64kbit or 10Mbit",
		"hole -1":             "hole -1 is not a number of bytes above zero, such as 500",
		"cut 4":               `"4" is not a node; the nodes are 0 to 3`,
		"cut node-1":          `"node-1" is not a node; the nodes are 0 to 3`,
		"split 0,1|":          `" " is not a node; the nodes are 0 to 3`,
		"split 0,1|1":         "0,1|1 names 1 twice",
		"cut 3 at":            `a time is missing behind "at"`,
		"cut 3 at noon":       "at noon is not a time above zero with a unit, such as 20s or 1m30s",
		"cut 3 at 10s for 0s": "for 0s is not a time above zero with a unit, such as 20s or 1m30s",
		"cut 3 for 10s": "for 10s says how long, but not from when; say it with at TIME, counted from the first " +
			"round",
		"cut 3 for 10s at 5s": "for 10s says how long, but not from when; say it with at TIME, counted from the first " +
			"round",
		"cut 3 at 10s 20s":       `"20s" is too much; write cut NODES[|NODES…] [at TIME] [for TIME]`,
		"restart 3":              "say when with at TIME, such as: restart 3 at 30s",
		"restart chain at 5s":    `"chain" is not a node; the nodes are 0 to 3`,
		"move 3 at 5s for 10s":   "the node is started again at once, so that for 10s says nothing",
		"stop 3 at 5s":           "say with for TIME when it is started again, such as: stop 3 at 30s for 20s",
		"stop 1,2 at 5s for 10s": `"1,2" is not a node; the nodes are 0 to 3`,
		"stop at 5s for 10s":     "write stop NODE [at TIME] [for TIME]",
		"delay 1s 3|0 at -5s":    "at -5s is not a time above zero with a unit, such as 20s or 1m30s",
		"rate 5000000000000bit 3 ": "rate 5000000000000bit is not a number of bits a second, such as 9600bit, 64kbit or " +
			"10Mbit",
	} {
		if _, err := ParseEvent(text, 4); err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// TestExamplesAreEvents holds the help to what can be read.
func TestExamplesAreEvents(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(Examples) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), "   ")
		if _, err := ParseEvent(text, 4); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for line := range strings.Lines(Examples) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), "   ")
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEvent(text, 4)
		if err != nil || e.Condition == nil {
			return
		}
		if c := e.Condition; len(c.Groups) < 2 || c.Delay < 0 || c.Rate < 0 || c.Hole < 0 || c.Loss < 0 || c.Loss > 1 {
			t.Errorf("%q: %+v", text, *c)
		}
	})
}
